/** The macros that go over a list or the keys of a map. */
import type { Bag } from '../attributes/bag.ts';
import type { Node } from './ast.ts';
import type { Val } from './dynamic.ts';
import type { Run } from './planned.ts';

export type Items = (bag: Bag) => Iterable<Val> | undefined;

export function macroRun(macro: (Node & { kind: 'macro' })['macro'], itemsOf: Items, body: Run, filter: Run | undefined, bind: (value: Val) => void): Run {
  switch (macro) {
    case 'all': case 'exists': {
      const deciding = macro === 'exists';
      return (bag) => {
        const items = itemsOf(bag);
        if (items === undefined) return undefined;
        let hasFailed = false;
        for (const item of items) {
          bind(item);
          const value = body(bag);
          if (value === deciding) return deciding;
          if (value === undefined) hasFailed = true;
        }
        return hasFailed ? undefined : !deciding;
      };
    }
    case 'exists_one': return (bag) => {
      const items = itemsOf(bag);
      if (items === undefined) return undefined;
      let count = 0;
      for (const item of items) {
        bind(item);
        const value = body(bag);
        if (value === undefined) return undefined;
        if (value === true) count += 1;
      }
      return count === 1;
    };
    case 'filter': case 'map': return (bag) => {
      const items = itemsOf(bag);
      if (items === undefined) return undefined;
      const made: Val[] = [];
      for (const item of items) {
        bind(item);
        const keeps = filter === undefined ? true : filter(bag);
        if (keeps === undefined) return undefined;
        if (keeps !== true) continue;
        const value = body(bag);
        if (value === undefined) return undefined;
        if (macro === 'map') made.push(value);
        else if (value === true) made.push(item);
      }
      return made as Val;
    };
  }
}
