// HEALTHCHECK of the image: exit code 0 when /livez says 200, 1 otherwise. Docker knows no other codes.

/** Ms; below the timeout of the HEALTHCHECK, so that the code is ours. */
const DEADLINE = 2_000;
/** A listener on every address is asked on loopback. */
const LOOPBACK = { '0.0.0.0': '127.0.0.1', '::': '::1' };

// biome-ignore lint/style/noProcessEnv: a program of its own, outside the service and its configuration.
const { CASTELLAN_OPS_HOST = '127.0.0.1', CASTELLAN_OPS_PORT = '9464' } = process.env;
const host = LOOPBACK[CASTELLAN_OPS_HOST] ?? CASTELLAN_OPS_HOST;
const url = `http://${host.includes(':') ? `[${host}]` : host}:${CASTELLAN_OPS_PORT}/livez`;
try {
  const { status } = await fetch(url, { signal: AbortSignal.timeout(DEADLINE) });
  if (status !== 200) throw new Error(`status ${status}`);
} catch (error) {
  // Docker keeps the output with the container's state.
  process.stdout.write(`${url}: ${error instanceof Error ? error.message : 'failed'}\n`);
  process.exitCode = 1;
}
