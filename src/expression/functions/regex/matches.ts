/**
 * `matches()`: RE2 patterns (docs/decisions/0024-two-engines-for-patterns.md). re2js validates patterns and
 * runs the ones that come with a request; constant patterns run on our own automaton if it supports them.
 */
import { RE2JS } from 're2js';
import { BOOL, STRING } from '../../../attributes/types.ts';
import { messageOf } from '../../../text/message-of.ts';
import { type Overload, fn, method } from '../overload.ts';
import { dfaTestOf } from './dfa.ts';

/** Compiled patterns of requests, the oldest replaced first; `undefined` for an invalid one. */
const MAX_PATTERNS = 256;
const patterns = new Map<string, RE2JS | undefined>();

function compiled(text: string): RE2JS | undefined {
  if (patterns.has(text)) return patterns.get(text);
  if (patterns.size >= MAX_PATTERNS) patterns.delete(patterns.keys().next().value ?? '');
  let pattern: RE2JS | undefined;
  try {
    pattern = RE2JS.compile(text);
  } catch {
    pattern = undefined;
  }
  patterns.set(text, pattern);
  return pattern;
}

function problemOf(text: unknown): string | undefined {
  if (typeof text !== 'string') return undefined;
  try {
    RE2JS.compile(text);
    return undefined;
  } catch (error) {
    return `${JSON.stringify(text)} is not an RE2 pattern: ${messageOf(error)}`;
  }
}

function testOf(text: string): (subject: string) => boolean {
  const test = dfaTestOf(text);
  const pattern = RE2JS.compile(text);
  return test === undefined ? (subject) => pattern.test(subject) : (subject) => test(subject) ?? pattern.test(subject);
}

const matches = (subject: string, text: string): boolean | undefined => compiled(text)?.test(subject);
const constants: Partial<Overload> = {
  checkConstant: ([, text]) => problemOf(text),
  specialise: ([text]) => (typeof text === 'string' ? testOf(text) : undefined),
};

export const PATTERN_FUNCTIONS: readonly Overload[] = [
  method('matches', [STRING, STRING], BOOL, matches, constants),
  fn('matches', [STRING, STRING], BOOL, matches, constants),
];
