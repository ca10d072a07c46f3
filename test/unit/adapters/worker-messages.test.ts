import { expect, test } from 'vitest';
import { allow, deny } from '../../../src/adapters/contract.ts';
import type { FromHandler, ToHandler } from '../../../src/adapters/isolated/protocol.ts';
import { packed, packedAnswers, type Times, unpacked, unpackedAnswers } from '../../../src/adapters/worker/messages.ts';

const call = { number: 7, id: 'a-1', remainingMs: 12.5 };

test('messages to a process arrive, with the clock of a test, as they were sent, in order', () => {
  const messages: ToHandler[] = [
    { kind: 'prepare', slot: 1, capability: 'check', rule: { rule: 'r', params: { a: 1 } } },
    { kind: 'ask', call, slot: 1, input: { value: 'x', list: ['a', 'b'] } },
    { kind: 'ask', call: { ...call, number: 8 }, slot: 1, input: {} },
    { kind: 'cancel', number: 7, why: 'gone' },
    { kind: 'close', withinMs: 5 },
  ];
  const times: Times[] = [];
  const sent = structuredClone(packed(messages, { nowMs: 5, monotonicMs: 2 }));
  expect(unpacked(sent, (one) => times.push(one))).toEqual(messages);
  expect(times).toEqual([{ nowMs: 5, monotonicMs: 2 }]);
});

test('messages of a process arrive as they were sent, whatever a plugin answered', () => {
  const answers: unknown[] = [
    allow(),
    allow({ validForMs: 5, uses: 2 }),
    allow({ output: { a: 1 } }),
    deny(7, 'no'),
    { city: 'Rome' },
    [{ granted: true, limit: 1, remaining: 0, resetMs: 5 }],
    undefined,
    null,
    42,
    { kind: 'allow', validForMs: 'long', uses: 1 },
    { kind: 'maybe' },
  ];
  const messages: FromHandler[] = [
    { kind: 'opened', has: { reset: false, look: true } },
    ...answers.map((answer, number) => ({ kind: 'answered', number, answer: answer as never }) as const),
    { kind: 'answered', number: 99, answer: { city: 'Rome' }, validity: { validForMs: 5, uses: 3 } },
    { kind: 'failed', number: 100, error: { name: 'Error', message: 'no' } },
  ];
  expect(unpackedAnswers(structuredClone(packedAnswers(messages)))).toEqual(messages);
});
