/** Shapes: the names and types of the values that a rule passes to an adapter, or gets from it. */

/** The types of inputs and outputs, and their JavaScript types. */
export interface ShapeValues {
  string: string;
  /** Exact; larger values than 2^53 fail before the adapter is called. */
  int: number;
  double: number;
  bool: boolean;
  bytes: Uint8Array;
  timestamp: Date;
  /** Milliseconds. */
  duration: number;
  /** Canonical text (RFC 5952). */
  ip: string;
  'list<string>': readonly string[];
  'map<string>': Readonly<Record<string, string>>;
  /** Anything: text, number, boolean, null, Date, or lists and objects of them; a duration is text like `1.5s`. */
  any: unknown;
}
export type ShapeType = keyof ShapeValues;
/** Names and types; a type that ends in `?` may be absent. */
export type Shape = Readonly<Record<string, ShapeType | `${ShapeType}?`>>;

type ValueOf<T> = T extends `${infer V extends ShapeType}?`
  ? ShapeValues[V]
  : T extends ShapeType
    ? ShapeValues[T]
    : never;
type OptionalKeys<S> = { [K in keyof S]: S[K] extends `${string}?` ? K : never }[keyof S];
type Flat<T> = { [K in keyof T]: T[K] } & {};
export type ValuesOf<S> = S extends Shape
  ? Flat<
      { readonly [K in Exclude<keyof S, OptionalKeys<S>>]: ValueOf<S[K]> } & {
        readonly [K in OptionalKeys<S>]?: ValueOf<S[K]>;
      }
    >
  : Readonly<Record<string, unknown>>;

/**
 * A shape; `'any'` for any names (log fields); or a function of config and params (labels, columns).
 * A dot in a name nests it in YAML: `'labels.method'` is written `labels: { method: ... }` and reaches the plugin as
 * `input['labels.method']`.
 */
export type ShapeSpec<C = unknown, P = unknown> = Shape | 'any' | ((config: C, params: P) => Shape);
