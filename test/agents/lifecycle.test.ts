import t from 'tap';
import { AGENT_STATUSES, type AgentStatus, isActive, transition } from '../../src/agents/lifecycle.ts';
import fc from '../support/fast-check.ts';

const HAPPENINGS = [
  'start',
  'stop',
  'expire',
  'quarantine',
  'invalidate',
  'release',
  'promote',
  'started',
  'exited',
] as const;
type Happening = (typeof HAPPENINGS)[number];

const status = fc.constantFrom(...AGENT_STATUSES);
const history = fc.array(fc.constantFrom(...HAPPENINGS), { maxLength: 30 });

function after(from: AgentStatus, happening: Happening): AgentStatus {
  const result = transition(from, happening);
  return 'to' in result ? result.to : from;
}

t.test('only a release leaves quarantine', async () => {
  fc.assert(
    fc.property(history, (happenings) => {
      let now: AgentStatus = 'quarantined';
      for (const happening of happenings.filter((one) => one !== 'release')) now = after(now, happening);
      return now === 'quarantined';
    }),
  );
});

t.test('nothing but a start makes an idle agent active', async () => {
  fc.assert(
    fc.property(fc.constantFrom<AgentStatus>('stopped', 'failed', 'quarantined'), history, (from, happenings) => {
      let now = from;
      for (const happening of happenings.filter((one) => one !== 'start')) now = after(now, happening);
      return !isActive(now);
    }),
  );
});

t.test('the brakes are never refused', async () => {
  fc.assert(
    fc.property(status, fc.constantFrom<Happening>('stop', 'expire', 'quarantine', 'invalidate'), (from, brake) => {
      const now = after(from, brake);
      return !('refused' in transition(from, brake)) && now !== 'starting' && now !== 'running';
    }),
  );
});

t.test('observed facts are never refused', async () => {
  fc.assert(
    fc.property(
      status,
      fc.constantFrom<Happening>('started', 'exited'),
      (from, fact) => !('refused' in transition(from, fact)),
    ),
  );
});

t.test('asking twice changes nothing the second time', async () => {
  fc.assert(
    fc.property(status, fc.constantFrom<Happening>('start', 'quarantine', 'invalidate'), (from, command) => {
      const once = after(from, command);
      return after(once, command) === once;
    }),
  );
});

t.test('a start of a running agent is no second start', async (t) => {
  t.strictSame(transition('running', 'start'), { same: true });
  t.strictSame(transition('starting', 'start'), { same: true });
  t.strictSame(transition('quarantined', 'start'), { refused: 'AGENT_QUARANTINED' });
  t.strictSame(transition('stopped', 'release'), { refused: 'NOT_QUARANTINED' });
});
