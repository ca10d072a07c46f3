/** Runs Helm on the chart. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { helmProgram } from '../../test/parts/fetch-deploy-tools.ts';
import { CHART, type Manifest, manifestsOf, NAMESPACE } from './manifests.ts';

interface Ran {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Helm {
  run(...args: readonly string[]): Ran;
  /** Writes values to a file that the next call replaces. */
  valuesFile(values: object): string;
  /** As text, of a release `sluice` in the namespace `sluice`. */
  template(values: object): string;
  /** After `helm lint --strict`. */
  render(values: object): Manifest[];
}

export function openHelm(scratch: string): Helm {
  const program = helmProgram();
  const run: Helm['run'] = (...args) => spawnSync(program, args, { encoding: 'utf8' });
  const valuesFile: Helm['valuesFile'] = (values) => {
    const file = join(scratch, 'values.yaml');
    writeFileSync(file, stringify(values));
    return file;
  };
  const printed = (values: object, ...args: readonly string[]): string => {
    const { status, stdout, stderr } = run(...args, '-f', valuesFile(values));
    assert.equal(status, 0, `${JSON.stringify(values)}\n${stdout}${stderr}`);
    return stdout;
  };
  const template: Helm['template'] = (values) =>
    printed(values, 'template', 'sluice', CHART, '-n', NAMESPACE, '--kube-version', '1.31.0');
  return {
    run,
    valuesFile,
    template,
    render: (values) => {
      printed(values, 'lint', '--strict', CHART);
      return manifestsOf(template(values));
    },
  };
}

export function ok(text: string): void {
  console.log(`ok  ${text}`);
}
