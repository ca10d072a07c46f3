/**
 * The secrets of a batch of reports: values of fields that read one by `reveal(...)`, and their parts. The backend is meant to have them,
 * but an error that quotes them is read by others.
 * **In**: the entries of the batch, and which fields of each may have one. **Out**: messages without them. **Fails**: never.
 */
import { withoutCredentials } from '../../attributes/credentials.ts';
import { HIDDEN, withoutSecretParameters } from '../../attributes/secrets.ts';
import type { ReportEntry } from '../../adapters/contract.ts';
import { SecretTexts } from '../../text/secret-texts.ts';

/** Deeper than JSON of a request may nest. */
const DEEPEST = 32;

export class BatchSecrets {
  readonly #entries: readonly ReportEntry[];
  readonly #reveals: (at: number) => readonly string[];
  /** Made for the first error: most batches have none. */
  #texts: SecretTexts | undefined;

  /** `reveals`: names of fields of the entry at an index. */
  constructor(entries: readonly ReportEntry[], reveals: (at: number) => readonly string[]) {
    this.#entries = entries;
    this.#reveals = reveals;
  }

  text(text: string): string {
    this.#texts ??= new SecretTexts([...this.#revealed()].map((secret) => ({ text: secret, shown: HIDDEN })));
    return this.#texts.text(withoutSecretParameters(withoutCredentials(text)));
  }

  #revealed(): ReadonlySet<string> {
    const texts = new Set<string>();
    for (const [at, { input }] of this.#entries.entries())
      for (const name of this.#reveals(at)) addTexts(input[name], texts, DEEPEST);
    return texts;
  }
}

/** Between the parts of a text that joins a secret with others, as `user=KEY, agent A` does. */
const BETWEEN_PARTS = /[\s,;:|"'`=&?()[\]{}<>]+/;
/** Shorter parts may be ordinary words, which help to find the cause. */
const SHORTEST_PART = 8;

function addTexts(value: unknown, texts: Set<string>, depth: number): void {
  if (typeof value === 'string') {
    texts.add(value);
    for (const part of value.split(BETWEEN_PARTS)) if (part.length >= SHORTEST_PART) texts.add(part);
  }
  if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value) && depth > 0)
    for (const one of Object.values(value)) addTexts(one, texts, depth - 1);
}
