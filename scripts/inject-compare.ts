/**
 * Compares the injector with the golden files of Istio's own tests.
 * **In**: a checkout of istio/istio at the tag 1.0.2, and one of a current release. **Out**: a line per run that differs, with where; a
 * table.
 * **Fails**: with exit code 1 if a run differs.
 *
 *   node scripts/inject-compare.ts CHECKOUT-1.0.2 [CHECKOUT-TODAY]
 *
 * Not compared: the golden files of today but for their probes, since their template is another one than ours, and calls functions of Helm
 * that ours does not know (`toYaml`, `define`, `structToJSON`).
 */
import { compareHelm } from './inject-compare/helm.ts';
import { compareKubeInject, compareRefusals } from './inject-compare/kube-inject.ts';
import { compareProbes } from './inject-compare/probes.ts';

const [checkout, today] = process.argv.slice(2);
if (checkout === undefined) throw new Error('usage: node scripts/inject-compare.ts CHECKOUT-1.0.2 [CHECKOUT-TODAY]');

const compared = {
  'kube-inject 1.0.2, built-in template': await compareKubeInject(checkout),
  'bad annotations that it refuses': await compareRefusals(checkout),
  "webhook and manifests by the template of 1.0.2's Helm chart": await compareHelm(checkout),
  ...(today === undefined ? {} : { "probes of today's files, built-in template": await compareProbes(today) }),
};
console.log('| golden files | runs | equal |\n|---|---:|---:|');
for (const [name, { equal, runs }] of Object.entries(compared)) console.log(`| ${name} | ${runs} | ${equal} |`);
if (Object.values(compared).some(({ equal, runs }) => equal < runs)) process.exitCode = 1;
