/** Full jitter: uniform in [0, min(max, base · 2ⁿ⁻¹)), so that clients which failed together do not come back together. */
export function fullJitter(repeat: number, baseMs: number, maxMs: number, random: () => number): number {
  return random() * Math.min(maxMs, baseMs * 2 ** Math.min(repeat - 1, 30));
}

// RFC 9110 §5.6.7, the one form that may be sent. Date.parse alone takes almost anything, "5 apples" too.
const HTTP_DATE = /^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/;

/** ms that a Retry-After header asks for (RFC 9110 §10.2.3: seconds or a date); undefined when it says neither. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  const text = header?.trim() ?? '';
  // However long: a wait that ends after the deadline ends the call, and is not taken for none.
  if (/^\d{1,20}$/.test(text)) return Number(text) * 1000;
  const date = HTTP_DATE.test(text) ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? undefined : Math.max(0, date - nowMs);
}
