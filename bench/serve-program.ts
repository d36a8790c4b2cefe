// The service as `serve` runs it, with the settings of its environment; prints where it listens once it does.
import { loadServiceConfig } from '../src/config.ts';
import { createLogger } from '../src/logger.ts';
import { startService } from '../src/service.ts';

const config = loadServiceConfig(process.env, []);
const service = await startService(config, { logger: createLogger(config.logLevel) });
console.log(JSON.stringify({ api: service.apiUrl, ops: service.opsUrl }));
process.once('SIGTERM', () => {
  service.drain();
  void service.close();
});
