/** A fixed list of serials that are refused, whoever issued them: hex, colons and case do not matter. */
export function denyList(serials: readonly string[]): (serial: string) => boolean {
  const denied = new Set(serials.map(normalSerial));
  return (serial) => denied.has(normalSerial(serial));
}

/** A serial number as it is compared: upper-case hex, without colons and leading zeros. */
export function normalSerial(serial: string): string {
  return serial
    .replaceAll(':', '')
    .toUpperCase()
    .replace(/^0+(?=.)/, '');
}
