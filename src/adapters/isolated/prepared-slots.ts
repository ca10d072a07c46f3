/**
 * The functions, buckets and sinks that rules prepared with a handler that runs elsewhere.
 * **In**: rules; answers of the handler. **Out**: slots; the messages that prepare them again after a restart; rules that were rejected.
 * **Fails**: never. A rule that twice was being prepared when the handler ended counts as rejected, so that it cannot end it for ever.
 */
import { settlesWithin } from '../../time/settles-within.ts';
import type { Capability } from '../contract.ts';
import type { Prepare, RuleFields, Slot } from './protocol.ts';

export interface PreparedSlot {
  readonly message: Prepare;
  /** The function, bucket or sink that stands for it in the host. */
  made: unknown;
  /** `suspect`: it was being prepared when the handler ended; such rules are prepared one at a time, to find the one at fault. */
  state: 'sent' | 'suspect' | 'prepared' | 'rejected';
  why: string | undefined;
  /** It was rejected because the handler ended in it; then no new opening tries it again. */
  isFatal: boolean;
  /** A policy with it is in force, or may be. */
  isAccepted: boolean;
}

export class PreparedSlots {
  readonly #send: (message: Prepare) => void;
  readonly #refused: (rule: string, why: string) => void;
  readonly #slots = new Map<Slot, PreparedSlot>();
  readonly #byMade = new Map<unknown, PreparedSlot>();
  /** Neither prepared nor rejected. */
  readonly #unanswered = new Set<PreparedSlot>();
  /** The suspect that is being prepared. */
  #tried: PreparedSlot | undefined;
  #lastSlot: Slot = 0;
  #settled: PromiseWithResolvers<void> | undefined;

  /** `refused` is called for a rule of an accepted policy that the handler rejects when it is opened again. */
  constructor(send: (message: Prepare) => void, refused: (rule: string, why: string) => void) {
    this.#send = send;
    this.#refused = refused;
  }

  /** `made` is called with the slot. */
  add(capability: Capability, rule: RuleFields, made: (slot: PreparedSlot) => unknown): unknown {
    const number = ++this.#lastSlot;
    const message: Prepare = { kind: 'prepare', slot: number, capability, rule };
    const slot: PreparedSlot = {
      message,
      made: undefined,
      state: 'sent',
      why: undefined,
      isFatal: false,
      isAccepted: false,
    };
    slot.made = made(slot);
    this.#slots.set(number, slot);
    this.#byMade.set(slot.made, slot);
    this.#unanswered.add(slot);
    this.#send(message);
    return slot.made;
  }

  /** Returns the slot that is free now. */
  forget(made: unknown): Slot | undefined {
    const slot = this.#byMade.get(made);
    if (slot === undefined) return undefined;
    this.#byMade.delete(made);
    this.#slots.delete(slot.message.slot);
    this.#unanswered.delete(slot);
    if (this.#tried === slot) this.#trySuspect();
    this.#settle();
    return slot.message.slot;
  }

  /** The handler's answer; `why`: it rejects the rule. */
  answered(number: Slot, why: string | undefined): void {
    const slot = this.#slots.get(number);
    if (slot === undefined || slot.state === 'rejected') return;
    slot.state = why === undefined ? 'prepared' : 'rejected';
    slot.why = why;
    this.#unanswered.delete(slot);
    if (why !== undefined && slot.isAccepted) this.#refused(slot.message.rule.rule, why);
    if (this.#tried === slot) this.#trySuspect();
    this.#settle();
  }

  /** The first rule of an accepted policy that the handler rejects. */
  get refusal(): { readonly rule: string; readonly why: string } | undefined {
    for (const { isAccepted, state, why, message } of this.#slots.values())
      if (isAccepted && state === 'rejected') return { rule: message.rule.rule, why: why ?? '' };
    return undefined;
  }

  /** The handler ended. */
  lost(why: string): void {
    const tried = this.#tried;
    this.#tried = undefined;
    if (tried !== undefined) {
      tried.isFatal = true;
      this.answered(tried.message.slot, `the handler ended twice while it prepared the rule: ${why}`);
    }
    for (const slot of this.#unanswered) slot.state = 'suspect';
    this.#tryRefused();
  }

  /** The messages of all slots but suspects. */
  replay(): readonly Prepare[] {
    this.#tryRefused();
    const messages: Prepare[] = [];
    for (const { message, state } of this.#slots.values())
      if (state === 'sent' || state === 'prepared') messages.push(message);
    return messages;
  }

  /** After the replay. */
  opened(): void {
    this.#trySuspect();
  }

  /**
   * Rejected rules, by what was made for them, once the handler has answered for all. At the latest after `withinMs`; then those without an
   * answer count as rejected if the handler is there, and as accepted if it is away.
   */
  async rejected(withinMs: number, isAway: () => boolean): Promise<ReadonlyMap<unknown, string>> {
    const hasSuspects = [...this.#unanswered].some(({ state }) => state === 'suspect');
    if (this.#unanswered.size > 0 && (!isAway() || hasSuspects)) {
      this.#settled ??= Promise.withResolvers<void>();
      await settlesWithin(withinMs, this.#settled.promise);
      this.#settled = undefined;
      if (!isAway())
        for (const { message } of this.#unanswered)
          this.answered(message.slot, `the handler has not prepared the rule within ${withinMs} ms`);
    }
    const rejected = new Map<unknown, string>();
    for (const slot of this.#slots.values()) {
      if (slot.state === 'rejected') rejected.set(slot.made, slot.why ?? '');
      else slot.isAccepted = true;
    }
    return rejected;
  }

  /** The next opening may be of another release. */
  #tryRefused(): void {
    for (const slot of this.#slots.values()) {
      if (slot.state !== 'rejected' || slot.isFatal || !slot.isAccepted) continue;
      slot.state = 'sent';
      slot.why = undefined;
      this.#unanswered.add(slot);
    }
  }

  #trySuspect(): void {
    this.#tried = undefined;
    for (const slot of this.#unanswered) {
      if (slot.state !== 'suspect') continue;
      this.#tried = slot;
      this.#send(slot.message);
      return;
    }
  }

  #settle(): void {
    if (this.#unanswered.size === 0) this.#settled?.resolve();
  }
}
