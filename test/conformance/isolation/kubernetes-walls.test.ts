import t from 'tap';

import { kubernetesSubject } from '../../kubernetes/subject.ts';
import { openWorld } from '../../kubernetes/world.ts';
import { isolationTest } from '../../support/isolation.ts';
import { isolationConformance } from './suite.ts';

isolationTest(t);

// The walls of the cluster in the process are those of bubblewrap, which has its own file; in full they are tried all the same.
const walls = process.env['TESTING_ISOLATION_RUNS'] === undefined ? [] : (['walls'] as const);
isolationConformance(t, kubernetesSubject(await openWorld(t)), ['workspace', 'environment', 'lifecycle', ...walls]);
