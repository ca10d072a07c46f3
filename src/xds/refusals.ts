/**
 * What a proxy has refused of one type, until it is sent another version: an accepted response with other resources mends nothing.
 * **In**: answers of the proxy. **Out**: the last refusal that still holds. **Fails**: never.
 */
import type { Refusal, Resource, Resources } from './resource.ts';
import { refusalOf } from './subscription.ts';

interface Open {
  readonly refusal: Refusal;
  readonly names: Set<string>;
}

export class Refusals {
  readonly #typeUrl: string;
  #open: Open[] = [];

  constructor(typeUrl: string) {
    this.#typeUrl = typeUrl;
  }

  get last(): Refusal | undefined {
    return this.#open.at(-1)?.refusal;
  }

  /** Names of all that is refused. */
  get names(): ReadonlySet<string> {
    return new Set(this.#open.flatMap(({ names }) => [...names]));
  }

  /** The answer to a response in which these were new; `whole`: all in it, if that is the complete set. `why`: absent if accepted. */
  answered(sent: readonly Resource[], whole: Resources | undefined, why: string | undefined): void {
    if (whole !== undefined) this.#open = [];
    else for (const { name } of sent) this.#forget((one) => one === name);
    if (why === undefined) return;
    const refusal = refusalOf(this.#typeUrl, why, sent, whole);
    // Without a name nothing would ever mend it.
    const names = refusal.resources.length === 0 ? [''] : refusal.resources.map(({ name }) => name);
    this.#open.push({ refusal, names: new Set(names) });
  }

  /** What is not there any more is not refused. */
  keep(resources: Resources): void {
    if (this.#open.length > 0) this.#forget((name) => name !== '' && !resources.has(name));
  }

  #forget(isOver: (name: string) => boolean): void {
    if (this.#open.length === 0) return;
    for (const { names } of this.#open) for (const name of names) if (isOver(name)) names.delete(name);
    this.#open = this.#open.filter(({ names }) => names.size > 0);
  }
}
