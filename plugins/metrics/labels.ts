/** From the labels of a report to the key of its series: templates of paths, the most frequent values, the maximum length. */
import type { LabelConfig } from './config.ts';
import { OTHER } from './family.ts';
import { hasSeparator, keyOf } from './label-key.ts';
import { PathTemplates } from './path-templates.ts';
import { TopValues } from './top-values.ts';

/** Label value whose expression failed. */
const FAILED = 'unknown';

interface Reduction {
  readonly paths: PathTemplates | undefined;
  readonly top: TopValues | undefined;
}
/** By label name; one for all metrics of a handler, so that a value is equally frequent in all. */
export type Reductions = ReadonlyMap<string, Reduction>;

export const reductionsOf = (config: Readonly<Record<string, LabelConfig>>): Reductions =>
  new Map(
    Object.entries(config).map(([name, { paths, top }]) => [
      name,
      {
        paths: paths === undefined ? undefined : new PathTemplates(paths),
        top: top === undefined ? undefined : new TopValues(top),
      },
    ]),
  );

interface Label extends Reduction {
  /** Name in the input of a report. */
  readonly input: string;
}

export class Labels {
  readonly #labels: readonly Label[];
  readonly #maxLength: number;
  /** Raw values of the last report, the texts and the key made of them: most reports in a row differ in few labels or in none. */
  readonly #raw: unknown[];
  readonly #texts: string[];
  #withSeparator = 0;
  #key: string;

  constructor(names: readonly string[], reductions: Reductions, maxLength: number) {
    this.#labels = names.map((name) => ({ input: `labels.${name}`, ...(reductions.get(name) ?? NONE) }));
    this.#maxLength = maxLength;
    this.#raw = names.map(() => undefined);
    this.#texts = names.map(() => FAILED);
    this.#key = keyOf(this.#texts);
  }

  /** The key of the series that these labels count in. */
  keyOf(input: Readonly<Record<string, unknown>>): string {
    const [labels, raw, texts] = [this.#labels, this.#raw, this.#texts];
    let isSame = true;
    for (let at = 0; at < labels.length; at++) {
      const label = labels[at] as Label;
      const value = input[label.input];
      if (value === raw[at] && label.top === undefined) continue;
      raw[at] = value;
      const text = this.#textOf(label, value);
      const before = texts[at] as string;
      if (text === before) continue;
      this.#withSeparator += Number(hasSeparator(text)) - Number(hasSeparator(before));
      texts[at] = text;
      isSame = false;
    }
    return isSame ? this.#key : (this.#key = keyOf(texts, this.#withSeparator === 0));
  }

  #textOf({ paths, top }: Label, raw: unknown): string {
    if (typeof raw !== 'string') return FAILED;
    const value = paths === undefined ? raw : paths.of(raw);
    const text = value.length <= this.#maxLength ? value : `${value.slice(0, this.#maxLength - 1).toWellFormed()}…`;
    return top === undefined || top.isTop(text) ? text : OTHER;
  }
}

const NONE: Reduction = { paths: undefined, top: undefined };
