/**
 * The main function of a worker.
 * **In**: a function that opens its server. **Out**: a thread that answers its supervisor until it is drained.
 * **Fails**: to start, with the reason sent to the supervisor; a request that cannot be answered is refused with the reason.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { EscapedErrors } from '../../adapters/escaped-errors.ts';
import type { SharedMemory } from '../../adapters/shared-memory.ts';
import type { OwnLog } from '../../log/log.ts';
import { endLog, sendLogTo } from '../../log/log-output.ts';
import type { Transport } from '../../transport/index.ts';
import { containErrors } from '../contain-errors.ts';
import {
  type Answers,
  failureOf,
  type FromWorker,
  type LifeRequests,
  type ListenAt,
  type Protocol,
  type ToWorker,
  type WorkerData,
  type WorkerPlace,
} from './protocol.ts';
import { InTurn } from '../../time/in-turn.ts';
import { requestedMemory } from './shared-memory-request.ts';

/** Texts that are ready to be put in force. */
export interface Prepared {
  commit(): void;
  abandon(): void | Promise<void>;
}

/** The server of one kind of worker. */
export interface WorkerServer<P extends Protocol> {
  /** Rejects if the texts cannot be in force; the previous ones stay. */
  prepare(texts: P['texts']): Promise<Prepared>;
  listen(at: ListenAt): Promise<Pick<Transport, 'host' | 'port' | 'renewTls'>>;
  readonly answers: Answers<P['requests']>;
  /** Afterwards nothing keeps the thread alive. */
  drain(): Promise<void>;
}

export interface WorkerEnvironment<P extends Protocol> {
  readonly data: P['data'];
  readonly place: WorkerPlace;
  readonly log: OwnLog;
  readonly escaped: EscapedErrors;
  readonly shared: SharedMemory;
}

const send = (message: FromWorker, moved: MessagePort[] = []): void => parentPort?.postMessage(message, moved);

export const sendEvent = <P extends Protocol>(event: P['event']): void => send({ kind: 'event', event });

export async function runWorker<P extends Protocol>(
  logOf: (data: P['data'], place: WorkerPlace) => OwnLog,
  open: (environment: WorkerEnvironment<P>) => Promise<WorkerServer<P>>,
): Promise<void> {
  const { data, ...place } = workerData as WorkerData<P>;
  sendLogTo((line) => send({ kind: 'log', line }));
  const log = logOf(data, place);
  const escaped = containErrors(log);
  const shared = requestedMemory((request, moved) => send({ kind: 'memory', request }, moved));
  try {
    const server = await open({ data, place, log, escaped, shared });
    const answers: Readonly<Record<string, (given: never) => unknown>> = { ...server.answers, ...lifeOf(server) };
    parentPort?.on('message', (message: ToWorker) => {
      if (message.kind === 'drain')
        return void server.drain().finally(() => {
          endLog();
          parentPort?.close();
        });
      const { id, what, given } = message;
      const answer = async (): Promise<unknown> => answers[what]?.(given as never);
      answer().then(
        (value) => send({ kind: 'answer', id, answer: value }),
        (error: unknown) => send({ kind: 'refusal', id, failure: failureOf(error) }),
      );
    });
    send({ kind: 'ready' });
  } catch (error) {
    send({ kind: 'failed', failure: failureOf(error) });
    parentPort?.close();
  }
}

export interface PreparedTexts<Texts> {
  readonly prepare: (texts: Texts) => Promise<void>;
  /** Of the texts prepared last, if any. */
  readonly settle: (step: 'commit' | 'abandon') => Promise<void>;
  /** Prepares and commits. */
  readonly use: (texts: Texts) => Promise<void>;
}

/** Texts that arrive while others are being prepared wait for them. */
export function preparedTexts<Texts>(prepare: (texts: Texts) => Promise<Prepared | undefined>): PreparedTexts<Texts> {
  const turns = new InTurn();
  let prepared: Prepared | undefined;
  const settle = (step: 'commit' | 'abandon'): void | Promise<void> => {
    const settled = prepared;
    prepared = undefined;
    return settled?.[step]();
  };
  return {
    prepare: (texts) =>
      turns.run(async () => {
        await settle('abandon');
        prepared = await prepare(texts);
      }),
    settle: (step) => turns.run(() => settle(step)),
    use: (texts) => turns.run(async () => (await prepare(texts))?.commit()),
  };
}

function lifeOf<P extends Protocol>(server: WorkerServer<P>): Answers<LifeRequests<P['texts']>> {
  const { prepare, settle, use } = preparedTexts<P['texts']>((texts) => server.prepare(texts));
  let listening: ReturnType<typeof server.listen> | undefined;
  return {
    prepare,
    commit: () => settle('commit'),
    abandon: () => settle('abandon'),
    use,
    async listen(at) {
      const { host, port } = await (listening ??= server.listen(at));
      return { host, port };
    },
    async renewTls(tls) {
      (await listening)?.renewTls(tls); // a later `listen` is given the newest
    },
  };
}
