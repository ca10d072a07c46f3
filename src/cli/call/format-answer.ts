import { stringify } from 'yaml';
import type { Answer } from './index.ts';

const WORDS: Readonly<Record<Exclude<Answer['outcome'], 'error'>, string>> = {
  allow: 'allowed',
  deny: 'denied',
  ok: 'within limits',
  over: 'over limit',
  taken: 'taken',
};

/** For people: one line that says it, then the message as YAML. */
export function formatAnswer(answer: Answer): string {
  const { outcome, grpc, tookMs, response } = answer;
  const said = outcome === 'error' ? `no answer: ${grpc.name}: ${grpc.message}` : WORDS[outcome];
  const isEmpty = response === undefined || JSON.stringify(response) === '{}';
  return `${said} (${tookMs} ms)\n${isEmpty ? '' : stringify(response)}`;
}
