/**
 * The main function of a worker.
 * **In**: a function that opens its server. **Out**: a thread that answers its supervisor until it is drained.
 * **Fails**: to start, with the reason sent to the supervisor; a request that cannot be answered is refused with the reason.
 */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { EscapedErrors } from '../../adapters/escaped-errors.ts';
import type { SharedMemory } from '../../adapters/shared-memory.ts';
import type { OwnLog } from '../../log/log.ts';
import { sendLogTo } from '../../log/log-output.ts';
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
      if (message.kind === 'drain') return void server.drain().finally(() => parentPort?.close());
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

function lifeOf<P extends Protocol>(server: WorkerServer<P>): Answers<LifeRequests<P['texts']>> {
  let prepared: Prepared | undefined;
  let listening: ReturnType<typeof server.listen> | undefined;
  /** Texts that arrive while others are being prepared wait for them. */
  const turns = new InTurn();
  const abandon = async (): Promise<void> => {
    const abandoned = prepared;
    prepared = undefined;
    await abandoned?.abandon();
  };
  return {
    prepare: (texts) =>
      turns.run(async () => {
        await abandon();
        prepared = await server.prepare(texts);
      }),
    commit: () =>
      turns.run(() => {
        prepared?.commit();
        prepared = undefined;
      }),
    abandon: () => turns.run(abandon),
    use: (texts) => turns.run(async () => (await server.prepare(texts)).commit()),
    async listen(at) {
      const { host, port } = await (listening ??= server.listen(at));
      return { host, port };
    },
    async renewTls(tls) {
      (await listening)?.renewTls(tls); // a later `listen` is given the newest
    },
  };
}
