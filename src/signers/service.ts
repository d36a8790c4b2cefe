import type { AuditAppender, Claim, UnitScope } from '../audit/append.ts';
import { SYSTEM_CHAIN } from '../ids.ts';
import type { Storage } from '../storage/storage.ts';
import { admitSigner, applyRotation, handOver, newSigner, pendingSigner, requestRotation } from './admit.ts';
import { conflict, found, type SignerCaller } from './caller.ts';
import { importSigners, readImport } from './import.ts';
import type {
  CompromiseSigner,
  ImportedEntry,
  ImportResult,
  RegisterSigner,
  RotateSigner,
  SignerView,
} from './schema.ts';
import { findSigner, listSigners, type SignerRow } from './store.ts';
import type { SignerPurpose } from './table.ts';
import { signerView } from './view.ts';
import { compromiseSigner, retireSigner, revokeSigner } from './withdraw.ts';

type Kept = Claim<SignerView> | undefined;

/** Who may vouch for what: the registry, and what changes it. */
export interface SignerRegistry {
  /** Every entry by signerId, in the form of signers.json. */
  list(): Promise<SignerView[]>;
  /** Trusts a key from now on. Throws SignerRegistryError. */
  register(request: RegisterSigner, caller: SignerCaller, claim?: Kept): Promise<SignerView>;
  /** Trusts the keys of a signers.json: all, or none. Throws SignerRegistryError. */
  importAll(
    entries: readonly ImportedEntry[],
    caller: SignerCaller,
    claim?: Claim<ImportResult>,
  ): Promise<ImportResult>;
  /** Lists a key that is to take another's place; in an emergency even when nothing can be signed. */
  rotate(request: RotateSigner, caller: SignerCaller, claim?: Kept): Promise<SignerView>;
  /** Puts the newest other signer of its purpose in a signer's place. Throws NotFound, SIGNER_STATE_CONFLICT. */
  handOver(signerId: string, reason: string, caller: SignerCaller, claim?: Kept): Promise<SignerView>;
  /** What a signer is for. Throws NotFound. */
  purposeOf(signerId: string): Promise<SignerPurpose>;
  /** Puts a pending key of manifests in force; the others are put in force by the replica that signs with them. */
  activate(signerId: string, caller: SignerCaller, claim?: Kept): Promise<SignerView>;
  /** Ends an overlap. Throws NotFound, SIGNER_STATE_CONFLICT. */
  retire(signerId: string, caller: SignerCaller, claim?: Kept): Promise<SignerView>;
  /** Ends the trust in a signer for good, even when nothing can be signed. Throws NotFound, SIGNER_STATE_CONFLICT. */
  revoke(signerId: string, reason: string, caller: SignerCaller, claim?: Kept): Promise<SignerView>;
  /** As revoke, and takes the trust back up to a moment. */
  compromise(signerId: string, request: CompromiseSigner, caller: SignerCaller, claim?: Kept): Promise<SignerView>;
}

export interface SignerRegistryOptions {
  readonly storage: Storage;
  readonly audit: AuditAppender;
  /** The signers of this process. */
  readonly own?: ReadonlySet<string>;
  /** Called after a signer of proofs has lost its trust. */
  readonly distrusted?: () => void;
}

export function createSignerRegistry(options: SignerRegistryOptions): SignerRegistry {
  const { storage, audit, own = new Set(), distrusted = () => undefined } = options;

  function change(
    work: (scope: UnitScope) => Promise<SignerRow>,
    claim: Kept,
    { brake = false } = {},
  ): Promise<SignerView> {
    return audit.commit({
      chain: SYSTEM_CHAIN,
      claim,
      brake,
      work: async (scope) => signerView(await work(scope)),
    });
  }

  async function distrust(work: (scope: UnitScope) => Promise<SignerRow>, claim: Kept): Promise<SignerView> {
    const view = await change(work, claim, { brake: true });
    if (view.purpose === 'proof') distrusted();
    return view;
  }

  return {
    list: async () => {
      const rows = await storage.read(SYSTEM_CHAIN, listSigners);
      return rows.map(signerView);
    },
    register: async (request, caller, claim) => {
      const signer = newSigner(request, caller);
      return change((scope) => admitSigner(scope, signer, caller), claim);
    },
    importAll: async (entries, caller, claim) => {
      const imports = entries.map((entry) => readImport(entry, caller));
      return audit.commit({ chain: SYSTEM_CHAIN, claim, work: (scope) => importSigners(scope, imports, caller) });
    },
    rotate: async (request, caller, claim) => {
      const signer = pendingSigner(request, caller);
      const brake = request.emergency === true;
      return change((scope) => requestRotation(scope, request, signer, caller), claim, { brake });
    },
    handOver: (signerId, reason, caller, claim) => change((scope) => handOver(scope, signerId, reason, caller), claim),
    purposeOf: async (signerId) => found(await storage.read(SYSTEM_CHAIN, (trx) => findSigner(trx, signerId))).purpose,
    activate: (signerId, caller, claim) =>
      change(async (scope) => {
        const row = found(await findSigner(scope.trx, signerId));
        if (row.purpose !== 'manifest') throw conflict('it is put in force by the first replica that signs with it');
        return applyRotation(scope, row, caller);
      }, claim),
    retire: (signerId, caller, claim) => change((scope) => retireSigner(scope, signerId, caller, own), claim),
    revoke: (signerId, reason, caller, claim) =>
      distrust((scope) => revokeSigner(scope, signerId, reason, caller), claim),
    compromise: (signerId, request, caller, claim) =>
      distrust((scope) => compromiseSigner(scope, signerId, request, caller), claim),
  };
}
