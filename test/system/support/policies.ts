import { readFileSync } from 'node:fs';

const POLICIES = new URL('../../../policies/', import.meta.url);

const PROMOTION = readFileSync(new URL('promotion.rego', POLICIES), 'utf8');
const DATA: { castellan: { budget: { monthlyUsd: number } } } = JSON.parse(
  readFileSync(new URL('data.json', POLICIES), 'utf8'),
);

/** A hot reload of the shipped rules with another budget limit, and with a runtime package when one is given. */
export function reload(options: { monthlyUsd?: number; runtime?: string; [member: string]: unknown } = {}): object {
  const { monthlyUsd = 5000, runtime, ...members } = options;
  return {
    policySet: 'default',
    bundle: {
      modules: { 'promotion.rego': PROMOTION, ...(runtime === undefined ? {} : { 'runtime.rego': runtime }) },
      data: { castellan: { ...DATA.castellan, budget: { monthlyUsd } } },
    },
    ...members,
  };
}

/** Denies every start with these codes. */
export function runtimeDenying(...codes: string[]): string {
  const rules = codes.map((code) => `deny contains {"code": "${code}", "reason": "because of ${code}"} if true`);
  return ['package castellan.runtime', 'import rego.v1', ...rules].join('\n');
}

/** Two values for one complete rule: OPA ends the evaluation. */
export const RUNTIME_CONFLICT = `package castellan.runtime
import rego.v1
deny contains {"code": "NEVER", "reason": "never"} if level == 3
level := 1 if input.mode == "start"
level := 2 if input.workspace != ""
`;

/** Takes far longer than a start may. */
export const RUNTIME_ENDLESS = `package castellan.runtime
import rego.v1
deny contains {"code": "NEVER", "reason": "never"} if {
	some a in numbers.range(1, 3000)
	some b in numbers.range(1, 3000)
	some c in numbers.range(1, 3000)
	a + b + c == 1
	input.mode == "start"
}
`;
