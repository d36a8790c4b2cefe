import { HOST_BUILTINS } from './evaluator/builtins.ts';

/** Builtins that OPA compiles into the wasm itself (measured on 0.70), all of them pure. */
const IN_WASM = [
  'abs and array.concat array.reverse array.slice assign base64.decode base64.encode base64.is_valid',
  'base64url.decode base64url.encode bits.and bits.lsh bits.negate bits.or bits.rsh bits.xor ceil concat contains',
  'count div endswith eq equal floor format_int glob.match graph.reachable gt gte indexof internal.member_2',
  'internal.member_3 intersection is_array is_boolean is_null is_number is_object is_set is_string json.filter',
  'json.is_valid json.marshal json.remove json.unmarshal lower lt lte max min minus mul neq net.cidr_contains',
  'net.cidr_intersects numbers.range object.filter object.get object.keys object.remove object.union object.union_n',
  'or plus product regex.find_all_string_submatch_n regex.is_valid regex.match rem replace round sort split',
  'startswith strings.replace_n strings.reverse substring sum to_number trim trim_left trim_prefix trim_right',
  'trim_space trim_suffix type_name union upper walk',
].flatMap((line) => line.split(' '));

/** Resolved or erased when the policy is compiled. */
const AT_COMPILE_TIME = ['print', 'internal.print', 'rego.metadata.chain', 'rego.metadata.rule'];

const ALLOWED: ReadonlySet<string> = new Set([...IN_WASM, ...AT_COMPILE_TIME, ...Object.keys(HOST_BUILTINS)]);

/**
 * The capabilities a policy is compiled with: what this OPA has and this host can run. A list of what is allowed, so that
 * a builtin of a later OPA (network, clock, randomness) is refused until somebody has looked at it.
 */
export function restrictCapabilities(current: unknown): Record<string, unknown> {
  if (typeof current !== 'object' || current === null || !('builtins' in current) || !Array.isArray(current.builtins)) {
    throw new TypeError('these are not capabilities of OPA');
  }
  const builtins: unknown[] = current.builtins;
  return { ...current, builtins: builtins.filter((builtin) => ALLOWED.has(nameOf(builtin))), allow_net: [] };
}

function nameOf(builtin: unknown): string {
  const isNamed = typeof builtin === 'object' && builtin !== null && 'name' in builtin;
  return isNamed && typeof builtin.name === 'string' ? builtin.name : '';
}
