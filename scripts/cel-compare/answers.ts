/** The answers of both sides to one expression. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Attributes } from '../../src/attributes/attributes.ts';
import { parseType, typeText } from '../../src/attributes/types.ts';
import type { Value } from '../../src/attributes/values.ts';
import { FAILED, compile } from '../../src/expression/index.ts';
import { boxer, unbox } from '../../src/expression/values/dynamic.ts';
import { type Json, jsonOf, textOf, valueOf } from './values.ts';
import { VARIABLES } from './variables.ts';

export type Answer =
  | { readonly kind: 'refused'; readonly why: string; readonly code?: string | undefined }
  | { readonly kind: 'failed'; readonly why: string; readonly type: string }
  | { readonly kind: 'value'; readonly text: string; readonly type: string };

export type JsonBag = Readonly<Record<string, Json>>;

const TYPES = Object.entries(VARIABLES).map(([name, text]) => [name, parseType(text) ?? { kind: 'dyn' }] as const);
const ATTRIBUTES = new Attributes(
  TYPES.map(([name, type]) => ({
    name,
    type,
    meaning: 'Of a comparison.',
    source: { kind: 'filled' },
    carriedBy: {},
    always: false,
    secret: false,
  })),
);

export class OurSide {
  readonly #bags: readonly ReadonlyMap<number | undefined, Value>[];

  constructor(bags: readonly JsonBag[]) {
    this.#bags = bags.map(
      (bag) =>
        new Map(
          TYPES.flatMap(([name, type]) => {
            const json = bag[name];
            if (json === undefined) return [];
            return [[ATTRIBUTES.slotOf(name), unbox(type, valueOf(json)) as Value]];
          }),
        ),
    );
  }

  /** `unchecked`: what is wrong with it fails when it is evaluated. */
  answer(source: string, bag: number, unchecked = false): Answer {
    const { compiled, problems } = compile(source, ATTRIBUTES, { accept: () => true, unchecked });
    if (compiled === undefined) return { kind: 'refused', why: problems[0]?.message ?? '', code: problems[0]?.code };
    const values = this.#bags[bag];
    const of = { get: (slot: number) => values?.get(slot) };
    const value = compiled.evaluate(of);
    const type = typeText(compiled.type);
    if (value === FAILED) return { kind: 'failed', why: compiled.why(of), type };
    return { kind: 'value', text: textOf(jsonOf(boxer(compiled.type)?.(value) ?? value)), type };
  }
}

/** A program in Go, which is asked for many at once. */
export class CelGo {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(program: string, bags: readonly JsonBag[]) {
    const child = spawn(program, { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout, crlfDelay: Infinity })[Symbol.asyncIterator]();
    child.stdin.write(`${JSON.stringify({ variables: VARIABLES, bags })}\n`);
  }

  async answers(asked: readonly { readonly source: string; readonly bag: number }[]): Promise<Answer[]> {
    this.#child.stdin?.write(asked.map((one) => `${JSON.stringify(one)}\n`).join(''));
    const answers: Answer[] = [];
    for (const { source } of asked) {
      const { value, done } = await this.#lines.next();
      if (done === true) throw new Error(`the program in Go ended at ${source}`);
      const { refused, type = '', failed, value: json } = JSON.parse(value) as Reply;
      if (refused !== undefined) answers.push({ kind: 'refused', why: refused });
      else if (failed !== undefined) answers.push({ kind: 'failed', why: failed, type });
      else answers.push({ kind: 'value', text: textOf(json ?? ['?']), type });
    }
    return answers;
  }

  close(): void {
    this.#child.stdin?.end();
  }
}

interface Reply {
  readonly refused?: string;
  readonly type?: string;
  readonly failed?: string;
  readonly value?: Json;
}
