/** Which localities calls prefer: `localityLbSetting` of a DestinationRule, and of a whole mesh. */
import { z } from 'zod';
import { TOPOLOGY_LABELS } from '../model/locality.ts';

const region = z.string().regex(/^[^/*]+$/, 'expected the name of a region, without / and *');
/** `region/zone/sub-zone`, whose last part may be `*`. */
const pattern = z
  .string()
  .regex(/^(\*|[^/*]+(\/[^/*]+){0,2}(\/\*)?)$/, 'expected region/zone/sub-zone; the last part may be *');

/** Whether one has all endpoints of the other. */
function areNested(a: string, b: string): boolean {
  const [one, other] = [a, b].map((name) => `${name.replace(/\/?\*$/, '')}/`) as [string, string];
  return one === '/' || other === '/' || one.startsWith(other) || other.startsWith(one);
}

/** Of an endpoint. */
export const locality = z
  .string()
  .regex(/^([^/*]+(\/[^/*]+){0,2})?$/, 'expected region, region/zone or region/zone/sub-zone');

export const localityLbSetting = z
  .strictObject({
    enabled: z.boolean().nullish(),
    distribute: z.array(z.strictObject({ from: pattern, to: z.record(pattern, z.int().min(1).max(100)) })).default([]),
    failover: z.array(z.strictObject({ from: region, to: region })).default([]),
    /** Names of labels, or `NAME=VALUE`. */
    failoverPriority: z.array(z.string().min(1)).default([]),
  })
  .superRefine(({ distribute, failover, failoverPriority }, context) => {
    const refuse = (path: readonly (string | number)[], message: string): void =>
      context.addIssue({ code: 'custom', path: [...path], message });
    if (distribute.length > 0 && failover.length > 0) refuse(['failover'], 'expected one of distribute and failover');
    for (const [at, { to }] of distribute.entries()) {
      const sum = Object.values(to).reduce((total, share) => total + share, 0);
      if (sum !== 100) refuse(['distribute', at, 'to'], `the shares come to ${sum}; expected 100`);
      const names = Object.keys(to);
      for (const [nth, name] of names.entries()) {
        const other = names.slice(0, nth).find((one) => areNested(one, name));
        if (other !== undefined)
          refuse(['distribute', at, 'to', name], `${other} and ${name} have endpoints in common`);
      }
    }
    for (const [at, { from }] of distribute.entries()) {
      const same = distribute.findIndex((one) => one.from === from);
      if (same < at) refuse(['distribute', at, 'from'], `distribute[${same}] is from ${from}, too, and holds`);
    }
    for (const [at, { from, to }] of failover.entries())
      if (from === to) refuse(['failover', at, 'to'], 'expected another region than from');
    for (const [at, name] of failoverPriority.entries())
      if (failover.length > 0 && Object.values<string>(TOPOLOGY_LABELS).includes(name))
        refuse(['failoverPriority', at], `${name} says the same as failover; expected one of them`);
  });
export type LocalityLbSetting = z.output<typeof localityLbSetting>;
