/* tslint:disable */
/* eslint-disable */
export const memory: WebAssembly.Memory;
export const __wbg_inspection_free: (a: number, b: number) => void;
export const figure: (a: number) => void;
export const inspection_csv: (a: number, b: number, c: number, d: number, e: number, f: number) => void;
export const inspection_figure: (a: number, b: number, c: number, d: number, e: number, f: number, g: number) => any;
export const inspection_open: (a: any, b: any) => any;
export const inspection_report: (a: number) => any;
export const inspection_report_json: (a: number, b: number) => void;
export const open: (a: any, b: any) => any;
export const report_json: (a: number, b: number, c: number) => void;
export const __wasm_bindgen_func_elem_705: (a: number, b: number, c: number, d: any) => void;
export const __wasm_bindgen_func_elem_726: (a: number, b: number, c: any, d: any) => void;
export const __wbindgen_export: (a: number, b: number) => number;
export const __wbindgen_export2: (a: number, b: number, c: number, d: number) => number;
export const __wbindgen_export3: (a: number, b: number, c: number) => void;
export const __wbindgen_export4: (a: number) => void;
export const __wbindgen_export5: () => number;
export const __wbindgen_externrefs: WebAssembly.Table;
export const __wbindgen_export6: (a: number, b: number) => void;
export const __wbindgen_add_to_stack_pointer: (a: number) => number;
export const __wbindgen_export7: (a: number) => void;
export const __wbindgen_start: () => void;
