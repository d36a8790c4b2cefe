import { type AdmissionCheck, PASS } from '../check.ts';
import { deny } from '../verdict.ts';

const WHOSE = { fleet: 'of all workspaces', workspace: 'of the workspace', agent: 'of the agent' } as const;

/** Nothing starts against an engaged kill switch. */
export const killSwitch: AdmissionCheck = {
  name: 'killSwitch',
  check({ killSwitch: engaged }) {
    if (engaged === null) return PASS;
    return deny('killSwitch', 'KILL_SWITCH', `the kill switch ${WHOSE[engaged]} is engaged`);
  },
};
