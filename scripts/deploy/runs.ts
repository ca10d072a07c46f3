/** What the runs of the image share: containers that end with the script, volumes, certificates. */
import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeAuthority } from '../../test/parts/certificates.ts';
import type { Image } from './build-image.ts';
import { type Container, type ContainerSpec, POD_IP, startContainer } from './container.ts';
import { openHelm } from './helm.ts';
import { type Pod, startPod } from './pod.ts';

export const WITHIN_MS = 30_000;

/** Files of a Secret of the type kubernetes.io/tls. */
type TlsFiles = Readonly<Record<'tls.crt' | 'tls.key' | 'ca.crt', string>>;

export interface Runs {
  /** Of the image of deploy/docker/Dockerfile, unless another one is named. */
  container(spec: ContainerSpec, of?: Image): Promise<Container>;
  /** A pod of the chart with these values; it is ready. */
  pod(values: object, options?: { readonly volumes?: string; readonly tls?: TlsFiles }): Promise<Pod>;
  /** SIGTERM must end it before it would be killed. */
  drained(container: Container, withinMs: number): Promise<void>;
  /** A folder that the user of a container may read. */
  folder(): string;
  issue(name: string): Promise<TlsFiles>;
  /** The name in the certificate of a port, which is asked with a client certificate. */
  servedName(container: Container, port: number): string | undefined;
  close(): Promise<void>;
}

export async function openRuns(image: Image): Promise<Runs> {
  const scratch = mkdtempSync(join(tmpdir(), 'sluice-image-runs-'));
  const helm = openHelm(scratch);
  const authority = await makeAuthority();
  const client = await authority.issue('client', 'DNS:client');
  const running = new Set<Container>();
  const keep = <C extends Container>(container: C): C => {
    running.add(container);
    return container;
  };
  const folder = (): string => {
    const made = mkdtempSync(join(scratch, 'volume-'));
    chmodSync(made, 0o755);
    return made;
  };
  return {
    folder,
    container: async (spec, of = image) => keep(await startContainer(of, spec)),
    async pod(values, { volumes = folder(), tls } = {}) {
      const pod = keep(await startPod(image, helm.render(values), volumes, tls === undefined ? {} : { tls }));
      for (const probe of ['startupProbe', 'readinessProbe', 'livenessProbe'] as const) await pod.becomes(probe);
      return pod;
    },
    async drained(container, withinMs) {
      const began = performance.now();
      await container.stop(withinMs);
      running.delete(container);
      assert.ok(performance.now() - began < withinMs, `killed after ${withinMs} ms\n${container.printed()}`);
      assert.match(container.printed(), /stopped/);
    },
    async issue(name) {
      const { cert, key } = await authority.issue(name, `IP:${POD_IP}`);
      const read = (file: string): string => readFileSync(file, 'utf8');
      return { 'tls.crt': read(cert), 'tls.key': read(key), 'ca.crt': read(authority.ca) };
    },
    servedName(container, port) {
      const given = `-connect ${POD_IP}:${port} -alpn h2 -CAfile ${authority.ca} -cert ${client.cert} -key ${client.key} -brief`;
      const { out } = container.beside(['openssl', 's_client', ...given.split(' ')]);
      return /CN ?= ?(\S+)/.exec(out)?.[1];
    },
    async close() {
      for (const container of running) await container.stop();
      await authority.remove();
      rmSync(scratch, { recursive: true });
    },
  };
}
