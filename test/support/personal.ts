/** What a member that people write looks like in a payload, for `match`. */
export const COMMITMENT = { c: /^[0-9a-f]{64}$/ };
