/** Builds the images of deploy/docker with buildah, in a storage of its own. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { commitOf } from '../../src/cli/commit.ts';
import { envoyProgram } from '../../test/parts/fetch.ts';
import { containerProgram, nodeBase } from '../../test/parts/fetch-deploy-tools.ts';
import { ROOT } from './manifests.ts';

export interface Image {
  /** Its file system, mounted. */
  readonly rootfs: string;
  readonly config: {
    readonly User: string;
    readonly Env: readonly string[];
    readonly Entrypoint: readonly string[];
    readonly Cmd: readonly string[];
    readonly WorkingDir: string;
    readonly Healthcheck: { readonly Test: readonly string[] };
    readonly Labels: Readonly<Record<string, string>>;
  };
}

export interface Images {
  /** Of deploy/docker/Dockerfile. */
  readonly sluice: Image;
  /** Of deploy/docker/Dockerfile.proxy, on top of it. */
  readonly proxy: Image;
  remove(): void;
}

const CERTIFICATES = '/etc/ssl/certs';
const NPM_CONFIG = 'cafile=/etc/ssl/certs/ca-certificates.crt\n';

/** `NODE_IMAGE` and `ENVOY_IMAGE` name images to build from; by default they are made, which needs no registry of images. */
export async function buildImages(): Promise<Images> {
  const program = await containerProgram('buildah');
  const storage = mkdtempSync(join(tmpdir(), 'sluice-image-'));
  const buildah = (args: readonly string[], input?: string): string =>
    execFileSync(program, ['--root', join(storage, 'root'), '--runroot', join(storage, 'run'), ...args], {
      encoding: 'utf8',
      cwd: ROOT,
      maxBuffer: 1 << 26,
      stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', args.includes('--quiet') ? 'ignore' : 'inherit'],
      ...(input === undefined ? {} : { input }),
    }).trim();
  const remove = (): void => {
    buildah(['umount', '--all']);
    buildah(['rm', '--all']);
    rmSync(storage, { recursive: true });
  };
  try {
    const base = process.env['NODE_IMAGE'] ?? (await importBase(buildah));
    const volumes = existsSync(CERTIFICATES) ? ['--volume', `${CERTIFICATES}:${CERTIFICATES}:ro`] : [];
    const isolation = ['--isolation', 'chroot', '--network', 'host', '--format', 'docker'];
    const build = (file: string, name: string, given: Readonly<Record<string, string>>): Image => {
      const args = Object.entries(given).flatMap(([key, value]) => ['--build-arg', `${key}=${value}`]);
      buildah(['build', '--quiet', ...isolation, ...volumes, ...args, '-f', `deploy/docker/${file}`, '-t', name, '.']);
      const inspected = JSON.parse(buildah(['inspect', '--type', 'image', name])) as {
        Docker: { config: Image['config'] };
      };
      return { rootfs: buildah(['mount', buildah(['from', name])]), config: inspected.Docker.config };
    };
    const sluice = build('Dockerfile', 'sluice', { NODE_IMAGE: base, COMMIT: commitOf(ROOT) ?? '' });
    const envoy = process.env['ENVOY_IMAGE'] ?? (await importEnvoy(buildah));
    const proxy = build('Dockerfile.proxy', 'sluice-proxy', { SLUICE_IMAGE: 'localhost/sluice', ENVOY_IMAGE: envoy });
    return { sluice, proxy, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** As in Envoy's own images. */
async function importEnvoy(buildah: (args: readonly string[]) => string): Promise<string> {
  const container = buildah(['from', 'scratch']);
  buildah(['copy', '--quiet', container, await envoyProgram(), '/usr/local/bin/envoy']);
  buildah(['commit', '--quiet', '--rm', container, 'localhost/envoy']);
  return 'localhost/envoy';
}

async function importBase(buildah: (args: readonly string[], input?: string) => string): Promise<string> {
  const folder = await nodeBase();
  const container = buildah(['from', 'scratch']);
  buildah(['add', '--quiet', container, folder]);
  // Builds behind a proxy with an authority of its own trust the certificates of this machine.
  const root = buildah(['mount', container]);
  execFileSync('sh', ['-c', `mkdir -p usr/local/etc && printf %s '${NPM_CONFIG}' > usr/local/etc/npmrc`], {
    cwd: root,
  });
  buildah(['config', '--env', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', container]);
  buildah(['commit', '--quiet', '--rm', container, 'localhost/node-base']);
  return 'localhost/node-base';
}
