import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { compressionsAlgorithms } from '@platformatic/kafka';
import kafkajs from 'kafkajs';
import { type Part, startChild, untilReady } from './child.ts';
import { java, kafkaClassArchive, kafkaClassPath } from './fetch.ts';
import { freePort } from './free-port.ts';

interface RequestQueue {
  throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  checkPendingRequests(): void;
}
const CHECK_PENDING_MS = 10;

/**
 * kafkajs 2.2.4 asks for a timer of `-1 - Date.now()` ms while it is not throttled, so Node warns (TimeoutNegativeWarning) and the queue
 * is looked at every millisecond. This looks at it every 10 ms, as kafkajs does where requests wait.
 */
function mendKafkajs(): void {
  const queue = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as { readonly prototype: object };
  Object.assign(queue.prototype, {
    scheduleCheckPendingRequests(this: RequestQueue) {
      this.throttleCheckTimeoutId ??= setTimeout(
        () => {
          this.throttleCheckTimeoutId = null;
          this.checkPendingRequests();
        },
        Math.max(this.throttledUntil - Date.now(), CHECK_PENDING_MS),
      );
    },
  });
}
mendKafkajs();

/** kafkajs reads gzip alone; LZ4 is the default of log-kafka. */
kafkajs.CompressionCodecs[kafkajs.CompressionTypes.LZ4] = () => ({
  compress: ({ buffer }: { readonly buffer: Buffer }) =>
    Promise.resolve(compressionsAlgorithms.lz4.compressSync(buffer)),
  decompress: (bytes: Buffer) => Promise.resolve(compressionsAlgorithms.lz4.decompressSync(bytes)),
});

const JVM = [
  '-Xms64m',
  '-Xmx256m',
  '-XX:+UseSerialGC',
  '-XX:TieredStopAtLevel=1',
  '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
];

/** For the first broker on a machine, which writes its classes to a file when it ends. */
const ARCHIVING_MS = 90_000;

export interface KafkaNode {
  readonly port: number;
  readonly broker: string;
  freeze(): void;
  thaw(): void;
  /** SIGKILL; keeps its data. */
  kill(): Promise<void>;
  /** Starts it on the same port and data after `kill` or `down`. */
  restart(): Promise<void>;
  /** SIGTERM; keeps its data. */
  down(): Promise<void>;
  /** SIGTERM; removes its data. */
  stop(): Promise<void>;
}

export interface KafkaPart extends KafkaNode {
  /** The listener with TLS and SASL, if it was asked for. */
  readonly secureBroker: string;
}

export interface KafkaCluster {
  /** It is the only controller. */
  readonly first: KafkaNode;
  readonly second: KafkaNode;
  /** Listeners with SASL by PLAIN; users have no rights but those that ACLs give them. */
  readonly saslBrokers: readonly string[];
  stop(): Promise<void>;
}

/** A second listener: TLS with this certificate and key, SASL by PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512. */
export interface SecureListener {
  /** PEM: the private key, then the certificate. */
  readonly pem: string;
  readonly username: string;
  readonly password: string;
}

/** A real Kafka (KRaft, one broker) on free ports; topics are created by the admin client. */
export async function startKafka({ secure }: { readonly secure?: SecureListener } = {}): Promise<KafkaPart> {
  const [controller, securePort] = [await freePort(), await freePort()];
  const node = await startNode({
    id: 1,
    cluster: newClusterId(),
    controller,
    lines: (pem) => (secure === undefined ? [] : secureLines(securePort, pem, secure)),
    ...(secure === undefined ? {} : { secure }),
  });
  return { ...node, secureBroker: `127.0.0.1:${securePort}` };
}

/** Two brokers of one cluster; leaders go back to the preferred broker a second after its return. */
export async function startKafkaCluster(users: Readonly<Record<string, string>>): Promise<KafkaCluster> {
  const [cluster, controller, ...saslPorts] = [newClusterId(), await freePort(), await freePort(), await freePort()];
  const nodeOf = (id: 1 | 2): Promise<KafkaNode> =>
    startNode({ id, cluster, controller, lines: () => clusterLines(saslPorts[id - 1] as number, users) });
  const first = await nodeOf(1);
  const second = await nodeOf(2);
  return {
    first,
    second,
    saslBrokers: saslPorts.map((port) => `127.0.0.1:${port}`),
    stop: async () => {
      await second.stop();
      await first.stop();
    },
  };
}

const newClusterId = (): string => `A${randomBytes(16).toString('base64url').slice(1, 22)}`;

interface NodeOptions {
  /** The first one is the controller. */
  readonly id: number;
  readonly cluster: string;
  readonly controller: number;
  /** Properties; a first one that begins with a comma is another listener. */
  readonly lines: (pem: string) => readonly string[];
  readonly secure?: SecureListener;
}

async function startNode({ id, cluster, controller, lines, secure }: NodeOptions): Promise<KafkaNode> {
  const [program, classPath, archive] = [await java(), await kafkaClassPath(), await kafkaClassArchive()];
  const isArchived = existsSync(archive);
  const port = await freePort();
  const folder = await mkdtemp(join(tmpdir(), 'sluice-kafka-'));
  const file = join(folder, 'server.properties');
  const pem = join(folder, 'broker.pem');
  if (secure !== undefined) await writeFile(pem, secure.pem);
  await writeFile(file, properties(id, port, controller, join(folder, 'data'), lines(pem)));
  const unfinished = `${archive}.${process.pid}-${port}`;
  const jvm = [...JVM, isArchived ? `-XX:SharedArchiveFile=${archive}` : `-XX:ArchiveClassesAtExit=${unfinished}`];
  await promisify(execFile)(program, [
    ...(isArchived ? jvm : JVM),
    '-cp',
    classPath,
    'kafka.tools.StorageTool',
    'format',
    ...(id === 1 ? ['--standalone'] : []),
    '-t',
    cluster,
    '-c',
    file,
    ...(secure === undefined
      ? []
      : ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
          '--add-scram',
          `${mechanism}=[name=${secure.username},password=${secure.password}]`,
        ])),
  ]);

  let part: Part | undefined;
  const up = async (): Promise<void> => {
    part = startChild(program, [...jvm, '-cp', classPath, 'kafka.Kafka', file]);
    await untilReady('kafka', part, () => answersApiVersions(port), 60_000);
  };
  const down = async (): Promise<void> => {
    await part?.stop(isArchived ? 15_000 : ARCHIVING_MS);
    if (!isArchived) await rename(unfinished, archive).catch(() => undefined);
  };
  await up();
  return {
    port,
    broker: `127.0.0.1:${port}`,
    freeze: () => part?.freeze(),
    thaw: () => part?.thaw(),
    kill: async () => {
      await part?.kill();
    },
    restart: up,
    down,
    stop: async () => {
      await down();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Sends ApiVersions v0 with correlation id 7; a ready broker echoes the id with error code 0. */
function answersApiVersions(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' }, () =>
      socket.write(Buffer.from('0000000b00120000000000070001' + '70', 'hex')),
    );
    socket.setTimeout(1000, () => socket.destroy());
    socket.once('data', (data) => {
      socket.destroy();
      resolve(data.length >= 10 && data.readInt32BE(4) === 7 && data.readInt16BE(8) === 0);
    });
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
  });
}

const LOGIN = 'org.apache.kafka.common.security';

/** The listener itself, then lines of its properties. */
function secureLines(port: number, pem: string, { username, password }: SecureListener): string[] {
  const listener = 'listener.name.sasl_ssl';
  return [
    `,SASL_SSL://127.0.0.1:${port}`,
    `${listener}.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512`,
    `${listener}.plain.sasl.jaas.config=${LOGIN}.plain.PlainLoginModule required user_${username}="${password}";`,
    ...['256', '512'].map(
      (bits) => `${listener}.scram-sha-${bits}.sasl.jaas.config=${LOGIN}.scram.ScramLoginModule required;`,
    ),
    `${listener}.ssl.keystore.type=PEM`,
    `${listener}.ssl.keystore.location=${pem}`,
  ];
}

/** The same for a broker of a cluster. */
function clusterLines(port: number, users: Readonly<Record<string, string>>): string[] {
  const listener = 'listener.name.sasl_plaintext';
  const logins = Object.entries(users).map(([name, password]) => ` user_${name}="${password}"`);
  return [
    `,SASL_PLAINTEXT://127.0.0.1:${port}`,
    `${listener}.sasl.enabled.mechanisms=PLAIN`,
    `${listener}.plain.sasl.jaas.config=${LOGIN}.plain.PlainLoginModule required${logins.join('')};`,
    'authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'super.users=User:ANONYMOUS',
    'leader.imbalance.check.interval.seconds=1',
    'leader.imbalance.per.broker.percentage=0',
    'replica.lag.time.max.ms=2000',
  ];
}

const properties = (
  id: number,
  port: number,
  controllerPort: number,
  data: string,
  lines: readonly string[],
): string => {
  const [listener = '', ...more] = lines[0]?.startsWith(',') === true ? lines : ['', ...lines];
  const controller = id === 1 ? `,CONTROLLER://127.0.0.1:${controllerPort}` : '';
  return `process.roles=broker${id === 1 ? ',controller' : ''}
node.id=${id}
controller.quorum.bootstrap.servers=127.0.0.1:${controllerPort}
listeners=PLAINTEXT://127.0.0.1:${port}${controller}${listener}
advertised.listeners=PLAINTEXT://127.0.0.1:${port}${controller}${listener}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SASL_PLAINTEXT:SASL_PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs=${data}
num.partitions=3
default.replication.factor=1
min.insync.replicas=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=1500
auto.create.topics.enable=false
log.retention.ms=-1
${more.join('\n')}
`;
};
