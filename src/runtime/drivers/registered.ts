import type { RuntimeDriver } from '../driver.ts';

/** The agent is run by someone else, who asks first: a start that is admitted counts as running, a stop as stopped. */
export const registeredDriver: RuntimeDriver = {
  name: 'registered',
  managed: false,
  onStart: (request) => ({ status: 'running', readyReplicas: request.replicas }),
  onStop: () => ({ status: 'stopped', readyReplicas: 0 }),
};
