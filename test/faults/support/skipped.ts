/** Why something cannot be tried on this machine. */
export class Skipped extends Error {}
