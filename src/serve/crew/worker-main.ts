/**
 * A worker's own side.
 * **In**: what it starts, and an answer to each kind of question. **Out**: nothing; it works until it is drained.
 * **Fails**: to start, and says why; a question that cannot be answered is refused with why.
 */
import { type MessagePort, parentPort } from 'node:worker_threads';
import { StartError } from '../errors.ts';
import { sendLogTo } from '../../log/log-output.ts';
import type { Answer, FromWorker, Given, Talk, ToWorker } from './protocol.ts';
import { messageOf } from '../../text/message-of.ts';

export interface Work<T extends Talk> {
  readonly ready: T['ready'];
  readonly answers: { readonly [K in keyof T['asks']]: (given: Given<T, K>) => Answer<T, K> | Promise<Answer<T, K>> };
  /** Afterwards nothing keeps the thread. */
  drain(): Promise<void>;
}

const say = (message: FromWorker<Talk>, moved: MessagePort[] = []): void => parentPort?.postMessage(message, moved);

export const tell = <T extends Talk>(told: T['told'], moved?: MessagePort[]): void =>
  say({ kind: 'told', told }, moved);

export async function work<T extends Talk>(start: () => Promise<Work<T>>): Promise<void> {
  sendLogTo((line) => say({ kind: 'log', line }));
  try {
    const started = await start();
    parentPort?.on('message', (message: ToWorker) => {
      if (message.kind === 'drain') return void started.drain().finally(() => parentPort?.close());
      const { id, what, given } = message;
      const answer = async (): Promise<unknown> => started.answers[what]?.(given);
      answer().then(
        (told) => say({ kind: 'answer', id, answer: told }),
        (error: unknown) => say({ kind: 'refused', id, why: messageOf(error) }),
      );
    });
    say({ kind: 'ready', ready: started.ready });
  } catch (error) {
    say({
      kind: 'failed',
      failure: error instanceof StartError ? { code: error.code, message: error.message } : messageOf(error),
    });
    parentPort?.close();
  }
}
