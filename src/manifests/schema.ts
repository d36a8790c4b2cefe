import { type Static, Type } from '@sinclair/typebox';

/** Of a signer, as the registry has them. */
export const SIGNER_ID = '^[A-Za-z0-9][A-Za-z0-9._:/-]{0,254}$';
/** Characters of base64; RSA-8192, the largest key that is registered, makes 1,024 bytes. */
const MAX_SIGNATURE = 1_368;

const closed = { additionalProperties: false } as const;
const digest = Type.String({ pattern: '^sha256:[0-9a-f]{64}$', description: 'sha256: and lower-case hex' });
const time = Type.String({
  pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}\\.\\d{3}Z$',
  description: 'RFC 3339 UTC with milliseconds',
});

/** What the Kernel signs (contract §6). */
const ManifestSchema = Type.Object(
  {
    v: Type.Literal(1),
    manifestId: Type.String({
      pattern: '^[0-9a-f]{8}-[0-9a-f]{4}-[1-8][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$',
      description: 'A UUID in lower case; each is accepted once',
    }),
    agentConfigHash: Type.Unsafe<string>({ ...digest, description: 'specHash of the spec that results' }),
    issuedAt: time,
    expiresAt: time,
    audience: Type.String({ minLength: 1, maxLength: 255, description: 'Whom it is for: this service' }),
  },
  closed,
);

export const EnvelopeSchema = Type.Object(
  {
    manifest: ManifestSchema,
    manifestSignature: Type.String({
      minLength: 1,
      maxLength: MAX_SIGNATURE,
      description: 'Canonical base64 of the signature over the RFC 8785 bytes of `manifest`',
    }),
    manifestSignatureId: Type.String({ pattern: SIGNER_ID, description: 'An active signer of purpose manifest' }),
    manifestHash: Type.Unsafe<string>({ ...digest, description: 'SHA-256 of the RFC 8785 bytes of `manifest`' }),
  },
  { ...closed, description: "The Kernel's word for the spec that results" },
);

/**
 * For bodies that may bring a manifest. It describes the envelope and lets anything pass: what is wrong with a manifest is
 * found by the slice, which says so by a code of its own and has it in the audit.
 */
export const PresentedManifest = Type.Optional(
  Type.Unsafe<unknown>({
    anyOf: [EnvelopeSchema, {}],
    description:
      'Needed where the profile is illuvrse; checked wherever it is sent. Another form is MANIFEST_MALFORMED',
  }),
);

export type Envelope = Static<typeof EnvelopeSchema>;
