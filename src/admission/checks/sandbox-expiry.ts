import { type AdmissionCheck, PASS, SKIP } from '../check.ts';
import { deny } from '../verdict.ts';

/** A sandbox agent lives until its `expiresAt`, and one without that time is not trusted to live at all. */
export const sandboxExpiry: AdmissionCheck = {
  name: 'sandboxExpiry',
  check({ mode, expiresAt, now }) {
    if (mode !== 'sandbox') return SKIP;
    if (expiresAt === null) return deny('sandboxExpiry', 'SANDBOX_EXPIRED', 'the sandbox agent has no time of expiry');
    if (now < expiresAt.getTime()) return PASS;
    return deny('sandboxExpiry', 'SANDBOX_EXPIRED', `the sandbox agent expired at ${expiresAt.toISOString()}`);
  },
};
