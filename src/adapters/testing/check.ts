/** Behaviours of every adapter that serves `check`. */
import assert from 'node:assert/strict';
import type { Adapter, CheckAnswer } from '../contract.ts';
import { type Behaviour, ofOpen, paramsOf } from './behaviours.ts';
import { type OpenedForTest, testCall } from './open-for-test.ts';
import type { PlacedSubject, CheckSubject } from './subject.ts';

type Values = Readonly<Record<string, unknown>>;

export function checkBehaviours(adapter: Adapter, subject: PlacedSubject, example: CheckSubject): Behaviour[] {
  const ask = async ({ handler }: OpenedForTest, inputs: readonly Values[]): Promise<CheckAnswer[]> => {
    const check = handler.check?.({ rule: 'example', params: paramsOf(adapter, 'check', example.params) });
    assert.ok(check !== undefined);
    return Promise.all(inputs.map(async (input) => check(input, testCall())));
  };
  const all = [...example.allowed, ...example.denied];
  const of = (says: string, show: (opened: OpenedForTest) => Promise<void>): Behaviour =>
    ofOpen(adapter, subject, says, show);
  return [
    of('what may pass is allowed', async (opened) => {
      assert.ok(example.allowed.length > 0, 'the example has no input that is allowed');
      const answers = await ask(opened, example.allowed);
      assert.deepEqual(
        answers.map(({ kind }) => kind),
        example.allowed.map(() => 'allow'),
      );
    }),
    of('what may not pass is denied, with a code and a reason', async (opened) => {
      assert.ok(example.denied.length > 0, 'the example has no input that is denied');
      for (const answer of await ask(opened, example.denied)) {
        assert.equal(answer.kind, 'deny');
        assert.ok(
          Number.isInteger(answer.code) && answer.code > 0 && answer.code <= 16,
          `a deny has the code ${answer.code}; expected 1 to 16`,
        );
        assert.notEqual(answer.reason.trim(), '', 'a deny has no reason');
      }
    }),
    of('validForMs is 0 or more, and uses 1 or more', async (opened) => {
      for (const answer of await ask(opened, all)) {
        assert.ok((answer.validForMs ?? 0) >= 0, `validForMs is ${answer.validForMs}`);
        if (answer.kind === 'allow') assert.ok(answer.uses >= 1, `uses is ${answer.uses}`);
      }
    }),
    of('answers are the same again, asked one by one or all at once', async (opened) => {
      const together = await ask(opened, all);
      const apart: CheckAnswer[] = [];
      for (const input of all) apart.push(...(await ask(opened, [input])));
      assert.deepEqual(
        apart.map(({ kind }) => kind),
        together.map(({ kind }) => kind),
      );
    }),
    of('an output has the declared names and types', async (opened) => {
      const declared = adapter.serves.check?.output ?? {};
      for (const { output } of await ask(opened, all)) assertTypes(output ?? {}, declared);
    }),
  ];
}

/** Only declared names, with values of their types; any may be absent. */
export function assertTypes(values: Values, shape: Readonly<Record<string, string>>): void {
  for (const [name, value] of Object.entries(values)) {
    const type = shape[name]?.replace(/\?$/, '');
    assert.ok(
      type !== undefined,
      `the output has "${name}", which is not declared; declared: ${Object.keys(shape).join(', ') || 'nothing'}`,
    );
    if (value !== undefined)
      assert.ok(isOfType(value, type), `the output "${name}" is ${JSON.stringify(value)}; declared: ${type}`);
  }
}

function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case 'string':
    case 'ip':
      return typeof value === 'string';
    case 'int':
      return Number.isSafeInteger(value);
    case 'double':
    case 'duration':
      return typeof value === 'number';
    case 'bool':
      return typeof value === 'boolean';
    case 'bytes':
      return value instanceof Uint8Array;
    case 'timestamp':
      return value instanceof Date;
    case 'list<string>':
      return Array.isArray(value) && value.every((one) => typeof one === 'string');
    case 'map<string>':
      return (
        typeof value === 'object' && value !== null && Object.values(value).every((one) => typeof one === 'string')
      );
    default:
      return type === 'any';
  }
}
