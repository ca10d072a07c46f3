/** Calls that the parser expands: comprehensions over lists and maps, `optMap` and `optFlatMap`, `cel.bind`. */
import type { MacroKind, Node } from './ast.ts';
import type { Token } from './lexer.ts';
import { SyntaxProblem } from './problem.ts';

interface MacroForm {
  readonly macro: MacroKind;
  readonly variables: 1 | 2;
  readonly hasFilter: boolean;
}
/** By name and number of arguments. */
const MACROS = new Map<string, MacroForm>();
for (const variables of [1, 2] as const) {
  for (const macro of ['all', 'exists', 'exists_one'] as const)
    MACROS.set(`${macro}/${variables + 1}`, { macro, variables, hasFilter: false });
  MACROS.set(`existsOne/${variables + 1}`, { macro: 'exists_one', variables, hasFilter: false });
}
MACROS.set('filter/2', { macro: 'filter', variables: 1, hasFilter: false });
for (const hasFilter of [false, true]) {
  MACROS.set(`map/${2 + Number(hasFilter)}`, { macro: 'map', variables: 1, hasFilter });
  MACROS.set(`transformList/${3 + Number(hasFilter)}`, { macro: 'map', variables: 2, hasFilter });
  for (const macro of ['transformMap', 'transformMapEntry'] as const)
    MACROS.set(`${macro}/${3 + Number(hasFilter)}`, { macro, variables: 2, hasFilter });
}

/** The node of a macro's call; `undefined` if the name or the number of arguments is not a macro's. */
export function macroNode(over: Node, name: Token, args: readonly Node[], end: number): Node | undefined {
  const { start } = over;
  if (over.kind === 'name' && over.name === 'cel') return celMacro(name.text, args, start, end);
  const variable = (at: number): string => {
    const node = args[at];
    if (node?.kind === 'name' && node.absolute !== true) return node.name;
    throw new SyntaxProblem(
      `${name.text}() takes a name ${at === 0 ? 'first' : 'as its second argument'}, such as ${name.text}(${at === 0 ? 'x' : 'i, x'}, ...)`,
      node?.start ?? name.start,
      node?.end ?? name.end,
    );
  };
  const [, body] = args;
  if ((name.text === 'optMap' || name.text === 'optFlatMap') && args.length === 2 && body !== undefined) {
    return { kind: 'optMap', over, variable: variable(0), body, flat: name.text === 'optFlatMap', start, end };
  }
  const form = MACROS.get(`${name.text}/${args.length}`);
  const last = args.at(-1);
  if (form === undefined || last === undefined) return undefined;
  const { macro, variables, hasFilter } = form;
  const second = variables === 2 ? variable(1) : undefined;
  if (second !== undefined && second === variable(0))
    throw new SyntaxProblem(`${name.text}() takes two different names`, args[1]?.start ?? start, args[1]?.end ?? end);
  return {
    kind: 'macro',
    macro,
    over,
    variable: variable(0),
    second,
    body: last,
    filter: hasFilter ? args[variables] : undefined,
    start,
    end,
  };
}

/** `cel.bind`; and `cel.block`, `cel.index`, `cel.iterVar`, which optimisers of other implementations write. */
function celMacro(name: string, args: readonly Node[], start: number, end: number): Node | undefined {
  const [first, second, third] = args;
  if (name === 'bind' && args.length === 3 && first?.kind === 'name' && second !== undefined && third !== undefined) {
    return { kind: 'bind', variable: first.name, value: second, body: third, start, end };
  }
  if (name === 'block' && args.length === 2 && first?.kind === 'list' && second !== undefined) {
    return first.items.reduceRight<Node>((body, { node, optional }, index) => {
      if (optional) throw new SyntaxProblem('cel.block() takes plain elements', node.start, node.end);
      return { kind: 'bind', variable: `@index${index}`, value: node, body, start, end };
    }, second);
  }
  const numbers = args.map((arg) =>
    arg.kind === 'literal' && arg.type === 'int' ? String(arg.value as number | bigint) : undefined,
  );
  if (numbers.includes(undefined)) return undefined;
  if (name === 'index' && args.length === 1) return { kind: 'name', name: `@index${numbers[0]}`, start, end };
  return name === 'iterVar' && args.length === 2
    ? { kind: 'name', name: `@it:${numbers.join(':')}`, start, end }
    : undefined;
}
