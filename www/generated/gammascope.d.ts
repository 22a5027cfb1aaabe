/* tslint:disable */
/* eslint-disable */

export class Inspection {
    private constructor();
    free(): void;
    [Symbol.dispose](): void;
    csv(_k: string, _s?: string | null): string;
    figure(_k: string, _s: string | null | undefined, _w: number, _h: number): any;
    static open(_entries: any, _progress: Function): Promise<Inspection>;
    report(): any;
    report_json(): string;
}

export function figure(): string;

export function open(blob: Blob, progress: Function): Promise<any>;

export function report_json(text: string): string;

export type InitInput = RequestInfo | URL | Response | BufferSource | WebAssembly.Module;

export interface InitOutput {
    readonly memory: WebAssembly.Memory;
    readonly __wbg_inspection_free: (a: number, b: number) => void;
    readonly figure: (a: number) => void;
    readonly inspection_csv: (a: number, b: number, c: number, d: number, e: number, f: number) => void;
    readonly inspection_figure: (a: number, b: number, c: number, d: number, e: number, f: number, g: number) => any;
    readonly inspection_open: (a: any, b: any) => any;
    readonly inspection_report: (a: number) => any;
    readonly inspection_report_json: (a: number, b: number) => void;
    readonly open: (a: any, b: any) => any;
    readonly report_json: (a: number, b: number, c: number) => void;
    readonly __wasm_bindgen_func_elem_705: (a: number, b: number, c: number, d: any) => void;
    readonly __wasm_bindgen_func_elem_726: (a: number, b: number, c: any, d: any) => void;
    readonly __wbindgen_export: (a: number, b: number) => number;
    readonly __wbindgen_export2: (a: number, b: number, c: number, d: number) => number;
    readonly __wbindgen_export3: (a: number, b: number, c: number) => void;
    readonly __wbindgen_export4: (a: number) => void;
    readonly __wbindgen_export5: () => number;
    readonly __wbindgen_externrefs: WebAssembly.Table;
    readonly __wbindgen_export6: (a: number, b: number) => void;
    readonly __wbindgen_add_to_stack_pointer: (a: number) => number;
    readonly __wbindgen_export7: (a: number) => void;
    readonly __wbindgen_start: () => void;
}

export type SyncInitInput = BufferSource | WebAssembly.Module;

/**
 * Instantiates the given `module`, which can either be bytes or
 * a precompiled `WebAssembly.Module`.
 *
 * @param {{ module: SyncInitInput }} module - Passing `SyncInitInput` directly is deprecated.
 *
 * @returns {InitOutput}
 */
export function initSync(module: { module: SyncInitInput } | SyncInitInput): InitOutput;

/**
 * If `module_or_path` is {RequestInfo} or {URL}, makes a request and
 * for everything else, calls `WebAssembly.instantiate` directly.
 *
 * @param {{ module_or_path: InitInput | Promise<InitInput> }} module_or_path - Passing `InitInput` directly is deprecated.
 *
 * @returns {Promise<InitOutput>}
 */
export default function __wbg_init (module_or_path?: { module_or_path: InitInput | Promise<InitInput> } | InitInput | Promise<InitInput>): Promise<InitOutput>;
