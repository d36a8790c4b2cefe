/** Where the egress proxy is reached inside: socat listens there and relays to the socket that is bound in. */
export const PROXY_PORT = 3128;

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

export interface EnvironmentRequest {
  readonly env: Readonly<Record<string, string>>;
  readonly toolchains: readonly string[];
  readonly hasEgress: boolean;
}

/** All variables of what runs inside. What is asked for goes before what everything gets; the proxy is not theirs to choose. */
export function sandboxEnvironment(request: EnvironmentRequest): Record<string, string> {
  for (const [name, value] of Object.entries(request.env)) {
    if (!NAME.test(name)) throw new TypeError('a variable has a name that is none');
    // Would end the argument: what comes after it would be an option of bwrap.
    if (value.includes('\0')) throw new TypeError(`the variable ${name} contains a NUL`);
  }
  const toolchains = request.toolchains.map((path) => `${path}/bin`);
  return {
    PATH: [...toolchains, '/usr/local/bin', '/usr/bin', '/bin'].join(':'),
    HOME: '/workspace',
    TMPDIR: '/tmp',
    LANG: 'C.UTF-8',
    ...request.env,
    ...(request.hasEgress ? proxyVariables() : {}),
  };
}

function proxyVariables(): Record<string, string> {
  const proxy = `http://127.0.0.1:${PROXY_PORT}`;
  const direct = 'localhost,127.0.0.1,::1';
  return {
    HTTP_PROXY: proxy,
    HTTPS_PROXY: proxy,
    http_proxy: proxy,
    https_proxy: proxy,
    NO_PROXY: direct,
    no_proxy: direct,
  };
}
