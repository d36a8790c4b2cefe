/** A serial number as it is compared: upper-case hex, without colons and leading zeros. */
export function normalSerial(serial: string): string {
  return serial
    .replaceAll(':', '')
    .toUpperCase()
    .replace(/^0+(?=.)/, '');
}
