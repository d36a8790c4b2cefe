import { createCaller } from './caller.ts';
import { createHttpTransport, type HttpTransport } from './http-transport.ts';
import { type ClientOptions, positive, serverOrigins } from './options.ts';
import { createRequester, type Requester } from './requester.ts';
import { createServers } from './servers.ts';
import { watchTlsMaterial } from './tls-material.ts';
import { bearerOf } from './token.ts';

/** A client of the service over the network. */
export interface CastellanClient extends Requester, AsyncDisposable {
  /** Looks at the PEM files now; true when changed ones are in use. */
  reloadCertificates(): Promise<boolean>;
  /** No new calls; resolves when those under way have ended. */
  close(): Promise<void>;
}

/** Reads the PEM files, then is ready; connects with the first call. */
export async function createClient(options: ClientOptions): Promise<CastellanClient> {
  const origins = serverOrigins(options.serverUrls);
  const verify = options.verify !== false;
  if (!verify) {
    process.emitWarning('verify is false: the server is not authenticated, anyone on the path reads and forges', {
      type: 'SecurityWarning',
      code: 'CASTELLAN_TLS_UNVERIFIED',
    });
  }
  const authorization = bearerOf(options.token);
  const refs = { ca: options.caCertPemRef, cert: options.clientCertPemRef, key: options.clientKeyPemRef };
  const everyMs = positive('certificateCheckMs', options.certificateCheckMs, 5000);
  const transportOptions = {
    verify,
    connectTimeoutMs: positive('connectTimeoutMs', options.connectTimeoutMs, 3000),
    connections: positive('connections', options.connections, 64),
  };
  let transport: HttpTransport | undefined;
  const watch = await watchTlsMaterial(refs, everyMs, (next) => transport?.use(next), options.hooks?.onCertificates);
  transport = createHttpTransport(watch.first, transportOptions);
  const caller = createCaller({ transport, servers: createServers(origins), authorization, defaults: options });
  const close = async (): Promise<void> => {
    watch.end();
    await transport.close();
  };
  return { ...createRequester(caller), reloadCertificates: watch.check, close, [Symbol.asyncDispose]: close };
}
