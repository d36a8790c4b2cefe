import t from 'tap';

import { kubernetesSubject } from '../../kubernetes/subject.ts';
import { openWorld } from '../../kubernetes/world.ts';
import { isolationTest } from '../../support/isolation.ts';
import { isolationConformance } from './suite.ts';

isolationTest(t);

isolationConformance(t, kubernetesSubject(await openWorld(t)), ['results', 'output', 'ends', 'lifecycle']);
