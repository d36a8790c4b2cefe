import { type AdmissionCheck, PASS } from '../check.ts';
import { deny } from '../verdict.ts';

/** Nothing starts in a workspace that is suspended. */
export const workspaceState: AdmissionCheck = {
  name: 'workspaceState',
  check({ workspaceState: state }) {
    if (state === 'active') return PASS;
    return deny('workspaceState', 'WORKSPACE_SUSPENDED', 'the workspace is suspended');
  },
};
