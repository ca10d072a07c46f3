/**
 * The plain manifests of deploy/kubernetes, made from the chart; a digest of the chart in their first line shows whether they are stale.
 */
import { createHash } from 'node:crypto';
import { globSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';

export const ROOT: string = resolve(import.meta.dirname, '../..');
export const CHART: string = join(ROOT, 'deploy/helm/sluice');
export const PLAIN: string = join(ROOT, 'deploy/kubernetes/sluice.yaml');
/** Written by hand. */
export const WEBHOOK: string = join(ROOT, 'deploy/kubernetes/webhook.yaml');
export const MESH: readonly string[] = ['mesh-rbac', 'mesh'].map((name) =>
  join(ROOT, `deploy/kubernetes/${name}.yaml`),
);
export const NAMESPACE = 'sluice';
export const MESH_NAMESPACE = 'istio-system';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Record<string, string> };
  readonly [field: string]: unknown;
}

/** Throws where the text is not YAML. */
export const manifestsOf = (text: string): Manifest[] =>
  parseAllDocuments(text)
    .map((document) => {
      const [error] = document.errors;
      if (error !== undefined) throw new Error(`${error.message}\n${text}`);
      return document.toJS() as Manifest | null;
    })
    .filter((manifest) => manifest !== null);

function chartDigest(): string {
  const hash = createHash('sha256');
  for (const file of globSync('**/*.{yaml,tpl}', { cwd: CHART }).toSorted())
    hash.update(`${file}\n${readFileSync(join(CHART, file), 'utf8')}`);
  return hash.digest('hex').slice(0, 16);
}

export const headOfPlain = (): string =>
  `# Written by \`npm run deploy:check -- --write\` from deploy/helm/sluice (${chartDigest()}) with its default values.\n`;

/** Without the labels that name Helm. */
export function plainManifests(rendered: string): string {
  const documents = manifestsOf(rendered).map((manifest) => stringify(withoutHelm(manifest), { lineWidth: 0 }));
  return headOfPlain() + documents.join('---\n');
}

function withoutHelm(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutHelm);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(
    ([key]) => key !== 'helm.sh/chart' && key !== 'app.kubernetes.io/managed-by',
  );
  return Object.fromEntries(entries.map(([key, one]) => [key, withoutHelm(one)]));
}
