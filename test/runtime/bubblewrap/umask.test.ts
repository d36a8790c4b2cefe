import t from 'tap';

import { openIsolation, openSandbox, runIn } from '../../isolation/support/attack.ts';
import { isolationTest } from '../../support/isolation.ts';

isolationTest(t);

/** The first is that of the unit in deploy/systemd; files of tests are processes of their own. */
for (const umask of [0o077, 0]) {
  t.test(`with the umask ${umask.toString(8)}`, async (t) => {
    const before = process.umask(umask);
    t.teardown(() => process.umask(before));
    const { isolation } = await openIsolation(t, { degradedLimits: process.getuid?.() !== 0 });
    const sandbox = await openSandbox(isolation, { allowDomains: ['a.example'] });
    const { stdout } = await runIn(sandbox, 'cat /etc/hostname; stat -c %a /etc/hosts /etc/ssl/certs /run/egress.sock');
    await sandbox.close();
    t.equal(stdout.text, 'sandbox\n644\n755\n600\n');
  });
}
