import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { IdentityMapInvalid, loadIdentityMap, parseIdentityMap } from '../../src/identity/identity-map.ts';
import { TRUST_DOMAIN } from '../certs/material.ts';

const entry = (change: object = {}) => ({
  match: { spiffe: 'spiffe://castellan.dev/human/a' },
  id: 'a',
  kind: 'human',
  roles: ['operator'],
  workspaces: ['demo'],
  ...change,
});
const problemsOf = (value: unknown): readonly string[] => {
  try {
    parseIdentityMap(typeof value === 'string' ? value : JSON.stringify(value), TRUST_DOMAIN);
    return [];
  } catch (error) {
    if (error instanceof IdentityMapInvalid) return error.problems;
    throw error;
  }
};
const spiffe = (path: string) => ({ match: { spiffe: path } });

t.test('a map that two readers could understand differently', async (t) => {
  const once = JSON.stringify({ principals: [entry()] });
  const twice = once.replace('"roles":', '"roles":["auditor"],"roles":');
  t.match(problemsOf(twice), [/not strict JSON.*roles/]);
  t.match(problemsOf(once.replace('"a"', '"a\\ud800"')), [/not strict JSON/]);
});

t.test('a good map', async (t) => {
  const map = parseIdentityMap(
    JSON.stringify({
      principals: [
        entry(),
        entry({ match: { cn: 'a.example' } }),
        entry({ match: { cn: 'gw' }, id: 'gw', kind: 'service', roles: ['gateway'], workspaces: ['*'] }),
      ],
    }),
    TRUST_DOMAIN,
  );
  const principal = { id: 'a', kind: 'human', roles: ['operator'], workspaces: ['demo'] };
  t.same(map.bySpiffe.get('spiffe://castellan.dev/human/a'), principal);
  t.same(map.byCommonName.get('a.example'), principal, 'one person may have two certificates');
  t.equal(map.byCommonName.get('gw')?.workspaces, '*');
});

const refused = [
  { why: 'unknown member', entries: [entry({ admin: true })] },
  { why: 'unknown role', entries: [entry({ roles: ['Operator'] })] },
  { why: 'look-alike role', entries: [entry({ roles: ['оperator'] })] },
  { why: 'agents are not mapped', entries: [entry({ roles: ['agent'] })] },
  { why: 'agents are not mapped by kind either', entries: [entry({ kind: 'agent' })] },
  { why: 'no role', entries: [entry({ roles: [] })] },
  { why: 'star beside a name', entries: [entry({ workspaces: ['*', 'demo'] })] },
  { why: 'bad workspace', entries: [entry({ workspaces: ['Demo'] })] },
  { why: 'the chain of the system is no workspace', entries: [entry({ workspaces: ['_system'] })] },
  { why: 'id with a line feed', entries: [entry({ id: 'a\nb' })] },
  { why: 'two ways to match', entries: [entry({ match: { spiffe: 'spiffe://castellan.dev/human/a', cn: 'a' } })] },
  { why: 'nothing to match', entries: [entry({ match: {} })] },
  { why: 'not a SPIFFE ID', entries: [entry(spiffe('https://castellan.dev/human/a'))] },
  { why: 'trailing slash', entries: [entry(spiffe('spiffe://castellan.dev/human/a/'))] },
  { why: 'dot segment', entries: [entry(spiffe('spiffe://castellan.dev/human/../a'))] },
  { why: 'query', entries: [entry(spiffe('spiffe://castellan.dev/human/a?b'))] },
  { why: 'other trust domain', entries: [entry(spiffe('spiffe://elsewhere.dev/human/a'))] },
  { why: 'an agent by the back door', entries: [entry(spiffe('spiffe://castellan.dev/ws/demo/agent/x'))] },
  { why: 'the same certificate twice', entries: [entry(), entry({ id: 'b' })] },
  { why: 'elevation everywhere', entries: [entry({ breakGlass: ['*'] })] },
  { why: 'elevation nowhere', entries: [entry({ breakGlass: [] })] },
  {
    why: 'one id with two places for elevation',
    entries: [entry({ breakGlass: ['demo'] }), entry({ match: { cn: 'x' }, breakGlass: ['other'] })],
  },
  { why: 'one id with two standings', entries: [entry(), entry({ match: { cn: 'x' }, roles: ['kernel-approver'] })] },
];
for (const { why, entries } of refused) {
  t.test(why, async (t) => {
    t.not(problemsOf({ principals: entries }).length, 0);
  });
}

t.test('all problems are named at once', async (t) => {
  const problems = problemsOf({
    principals: [entry(), entry(spiffe('x')), entry({ ...spiffe('spiffe://b.c/d'), roles: ['auditor'] })],
  });
  t.equal(problems.length, 3, problems.join('\n'));
  t.ok(problemsOf('{').length === 1 && problemsOf('[]').length > 0 && problemsOf('{"principals":[],"x":1}').length > 0);
});

t.test('from a file', async (t) => {
  const path = join(t.testdir(), 'map.json');
  t.throws(() => loadIdentityMap(path, TRUST_DOMAIN), /the file cannot be read \(ENOENT\)/);
  writeFileSync(path, JSON.stringify({ principals: [entry()] }));
  t.equal(loadIdentityMap(path, TRUST_DOMAIN).bySpiffe.size, 1);
});
