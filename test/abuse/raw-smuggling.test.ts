import t from 'tap';

import { testService } from '../support/service.ts';
import type { Answer } from './support/client.ts';
import { problemComplaints } from './support/oracle.ts';
import { exchange, openRaw, type RawAnswer } from './support/raw.ts';
import { CASES, SMUGGLED_NAME } from './support/smuggling.ts';

const service = await testService(t);

// At once, for most of the time goes into waiting for silence.
const results = await Promise.all(CASES.map(async ({ bytes }) => exchange(await openRaw(service, 'operator'), bytes)));

for (const [nth, { why, answers: expected, stays }] of CASES.entries()) {
  t.test(why, async (t) => {
    const { answers = [], rest, closed } = results[nth] ?? {};
    t.same(
      answers.map(({ status }) => status),
      expected,
      answers.at(-1)?.body ?? 'no answer',
    );
    t.equal(rest, '', 'whole answers only');
    t.equal(closed, !stays, stays ? 'open' : 'closed');
    for (const answer of answers.filter(({ status }) => status >= 400)) {
      t.same(problemComplaints(asAnswer(answer)), []);
      if (answer === answers.at(-1) && !stays) t.equal(answer.headers.get('connection'), 'close');
    }
  });
}

t.test('nothing was smuggled', async (t) => {
  const { status, text } = await service.call('operator', 'GET', `/v1/workspaces/demo/agents?search=${SMUGGLED_NAME}`);
  t.equal(status, 200);
  t.equal(JSON.parse(text).total, 0, text);
});

function asAnswer({ status, headers, body }: RawAnswer): Answer {
  return { status, headers: Object.fromEntries(headers), text: body };
}
