/** Claiming, signing in and reopening, in the worker. */
import { fromBase64, toBase64 } from "../api/base64";
import * as box from "../api/box";
import { type Result, failure, success } from "../api/result";
import type { ClaimBody } from "../api/types";
import type { Core } from "./core";
import * as kept from "./kept";
import type { Entered, Kit } from "./protocol";

const OTHER_ROOT =
  "This box shows another owner's key than the one this browser knows it by. It may have been replaced or tampered with: compare the fingerprint on your recovery kit before you go on.";
const NOT_PREPARED = "Nothing is prepared to claim this box with. Start again.";

/** Somebody whose identity is open, and the store that it opens. */
export interface Who {
  readonly store: string;
  readonly name: string;
}

export class People {
  who: Who | null = null;
  #prepared: { store: string; body: Omit<ClaimBody, "code">; root: string } | null = null;

  constructor(private readonly core: Core) {}

  async prepareClaim(store: string, name: string, passphrase: string): Promise<Result<Kit>> {
    const made = this.core.prepareClaim(store, name, passphrase);
    this.#prepared = {
      store,
      root: toBase64(made.verifyingKey),
      body: {
        name,
        salt: toBase64(made.salt),
        memory_kib: made.memoryKib,
        passes: made.passes,
        lanes: made.lanes,
        auth: toBase64(made.auth),
        sealed_identity: toBase64(made.sealedIdentity),
        recipient: made.recipient,
        verifying_key: toBase64(made.verifyingKey),
        statement: toBase64(made.statement),
        sealed_seed: toBase64(made.sealedSeed),
        sealed_metadata_key: toBase64(made.sealedMetadataKey),
        metadata_key: toBase64(made.metadataKey),
      },
    };
    return success({ groups: made.kitGroups, text: made.kitText, fingerprint: made.fingerprint });
  }

  /** May be called again with another code: what was prepared, and so the printed kit, stays the same. */
  async claim(code: string): Promise<Result<Entered>> {
    const prepared = this.#prepared;
    if (!prepared) return failure("vault", NOT_PREPARED);
    const answer = await box.claim({ code, ...prepared.body });
    if (answer.kind !== "success") return answer;
    this.#prepared = null;
    this.core.claimed();
    await trying(kept.pinRoot(prepared.store, prepared.root));
    return this.#enter(prepared.store, answer.value.name, true);
  }

  async signIn(store: string, name: string, passphrase: string): Promise<Result<Entered>> {
    const parameters = await box.signInParameters(name);
    if (parameters.kind !== "success") return parameters;
    const { salt, memory_kib, passes, lanes } = parameters.value;
    const auth = this.core.derive(passphrase, fromBase64(salt), memory_kib, passes, lanes);
    const signedIn = await box.signIn(name, toBase64(auth));
    if (signedIn.kind !== "success") return signedIn;
    this.core.openIdentity(fromBase64(signedIn.value.sealed_identity), signedIn.value.name);
    return this.#enter(store, signedIn.value.name, true);
  }

  async reopen(store: string, name: string): Promise<Result<Entered | null>> {
    const seed = await kept.reopen(name, store).catch(() => null);
    if (!seed) return success(null);
    this.core.identityFromSeed(seed);
    seed.fill(0);
    return this.#enter(store, name, false);
  }

  close(): void {
    this.#prepared = null;
    this.who = null;
    this.core.forget();
  }

  /**
   * With an identity inside: opens the keyring, and keeps a copy for the next reload. A browser whose storage fails (a private
   * window, a full disk) keeps nobody out: it asks again after a reload.
   */
  async #enter(store: string, name: string, keep: boolean): Promise<Result<Entered>> {
    const keyring = await box.keyring();
    if (keyring.kind !== "success") return keyring;
    const pinned = await kept.pinnedRoot(store).catch(() => undefined);
    if (pinned !== undefined && pinned !== keyring.value.root) {
      this.core.forget();
      return failure("other-root", OTHER_ROOT);
    }
    this.core.openKeyring(fromBase64(keyring.value.keyring), store, fromBase64(keyring.value.root));
    this.who = { store, name };
    const isPinned = await trying(kept.pinRoot(store, keyring.value.root));
    if (!keep) return success({ name, kept: true });
    const seed = this.core.identitySeed();
    const isKept = await trying(kept.keep(name, store, seed));
    seed.fill(0);
    return success({ name, kept: isKept && isPinned });
  }
}

/** Whether something that need not succeed did. */
const trying = (act: Promise<void>): Promise<boolean> =>
  act.then(
    () => true,
    () => false,
  );
