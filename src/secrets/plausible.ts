/** Shorter values cannot be told from words. */
const MIN_LENGTH = 10;
/** Bits per character. English words are near it, but fail on the mixture. */
const MIN_ENTROPY = 3;
/** How often neighbours are of different classes. Random letters and digits: 0.3 to 0.65; camelCase names: below 0.25. */
const MIN_MIXTURE = 0.28;

const TEMPLATE = /[$#]\{|\{\{|\$\(|^\$[A-Za-z_]|%[sdv]|^<|\.\.\./;
const FILLER = /example|placeholder|change.?me|replace.?me|your[-_.]|dummy|redacted|xxxx|1234567|\*\*\*/i;
const WORDS = new Set(
  'change changeme example key pass passwd password placeholder pw pwd redacted secret token user word'.split(' '),
);

/** A template's slot, a mask, or a word that stands for the value: nobody's secret. */
export function isPlaceholder(value: string): boolean {
  return TEMPLATE.test(value) || /^[xX0*._-]*$/.test(value) || WORDS.has(value.toLowerCase());
}

/** As a generator makes it. Words, names, paths and dotted expressions are not, and neither is a sentence's filler. */
export function looksGenerated(value: string): boolean {
  if (value.length < MIN_LENGTH || isPlaceholder(value) || FILLER.test(value)) return false;
  return /[0-9]/.test(value) && entropyOf(value) >= MIN_ENTROPY && mixtureOf(value) >= MIN_MIXTURE;
}

/** Shannon's, of the characters of this text, in bits per character. */
export function entropyOf(text: string): number {
  const counts = new Map<string, number>();
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1);
  let bits = 0;
  for (const count of counts.values()) bits -= (count / text.length) * Math.log2(count / text.length);
  return bits;
}

function mixtureOf(value: string): number {
  // What joins words (`X-aws-ec2-metadata-token`) is no mixture.
  const text = value.replaceAll(/[-_./:]/g, '');
  let changes = 0;
  for (let index = 1; index < text.length; index += 1) {
    if (classOf(text.charCodeAt(index)) !== classOf(text.charCodeAt(index - 1))) changes += 1;
  }
  return changes / (text.length - 1);
}

function classOf(code: number): 'digit' | 'upper' | 'lower' | 'other' {
  if (code >= 48 && code <= 57) return 'digit';
  if (code >= 65 && code <= 90) return 'upper';
  return code >= 97 && code <= 122 ? 'lower' : 'other';
}
