//! Finds names in a pickle whose code would run on loading. Gammascope calls none of them; `torch.load` without `weights_only`
//! does.
//!
//! A pickle holds no code itself. It calls installed functions with its own arguments: Python's standard library and a few other
//! packages have functions that run a text or a command. Classes of models, trainers and configurations are common in checkpoints and
//! are not listed: they run what their own library wrote.

use super::known::Global;

/// Modules of Python's standard library whose classes are data. Names in its other modules are listed.
const HARMLESS: [&str; 24] = [
    "_codecs",
    "_collections",
    "_thread.lock",
    "argparse",
    "array",
    "ast",
    "collections",
    "copy_reg",
    "copyreg",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "fractions",
    "itertools",
    "logging",
    "math",
    "numbers",
    "pathlib",
    "random",
    "re",
    "string",
    "typing",
    "uuid",
];

/// Names that are data, in modules of the standard library that are not.
const HARMLESS_NAMES: [(&str, &str); 9] = [
    ("_io", "BytesIO"),
    ("functools", "partial"),
    ("io", "BytesIO"),
    ("io", "StringIO"),
    ("operator", "itemgetter"),
    ("types", "MethodType"),
    ("types", "SimpleNamespace"),
    ("weakref", "WeakKeyDictionary"),
    ("weakref", "WeakValueDictionary"),
];

/// Built-in functions and classes that are data.
const HARMLESS_BUILTINS: [&str; 20] = [
    "Ellipsis",
    "NotImplemented",
    "bool",
    "bytearray",
    "bytes",
    "complex",
    "dict",
    "float",
    "frozenset",
    "int",
    "list",
    "long",
    "object",
    "range",
    "set",
    "slice",
    "str",
    "tuple",
    "type",
    "unicode",
];

/// Packages of the standard library, by their first names.
const STANDARD: [&str; 108] = [
    "__builtin__",
    "_io",
    "_pickle",
    "_posixsubprocess",
    "_thread",
    "_winapi",
    "asyncio",
    "asyncore",
    "atexit",
    "bdb",
    "builtins",
    "bz2",
    "cProfile",
    "cgi",
    "cmd",
    "code",
    "codecs",
    "codeop",
    "commands",
    "compileall",
    "concurrent",
    "configparser",
    "contextlib",
    "copy",
    "crypt",
    "csv",
    "ctypes",
    "curses",
    "dbm",
    "dis",
    "distutils",
    "doctest",
    "email",
    "ensurepip",
    "faulthandler",
    "fileinput",
    "ftplib",
    "functools",
    "gc",
    "getpass",
    "glob",
    "gzip",
    "http",
    "idlelib",
    "imaplib",
    "imp",
    "importlib",
    "inspect",
    "io",
    "ipaddress",
    "json",
    "lib2to3",
    "linecache",
    "lzma",
    "mailbox",
    "mailcap",
    "marshal",
    "mimetypes",
    "mmap",
    "modulefinder",
    "multiprocessing",
    "netrc",
    "nntplib",
    "nt",
    "ntpath",
    "operator",
    "os",
    "pdb",
    "pickle",
    "pickletools",
    "pip",
    "pipes",
    "pkgutil",
    "platform",
    "poplib",
    "posix",
    "posixpath",
    "profile",
    "pty",
    "pydoc",
    "resource",
    "runpy",
    "sched",
    "select",
    "shelve",
    "shlex",
    "shutil",
    "signal",
    "site",
    "smtplib",
    "socket",
    "socketserver",
    "sqlite3",
    "ssl",
    "subprocess",
    "sys",
    "sysconfig",
    "tempfile",
    "threading",
    "timeit",
    "trace",
    "types",
    "urllib",
    "venv",
    "weakref",
    "webbrowser",
    "xmlrpc",
    "zipimport",
];

/// Modules of other packages that run or load their arguments. Each stands for its submodules too.
const LOADERS: [&str; 28] = [
    "IPython",
    "aiohttp",
    "cffi",
    "cloudpickle",
    "dill",
    "fsspec",
    "httplib2",
    "httpx",
    "joblib",
    "numpy.distutils",
    "numpy.f2py",
    "numpy.testing",
    "paramiko",
    "pexpect",
    "pip",
    "pkg_resources",
    "pytest",
    "requests",
    "setuptools",
    "sh",
    "torch._dynamo",
    "torch._inductor",
    "torch.distributed.rpc",
    "torch.hub",
    "torch.jit",
    "torch.package",
    "torch.utils",
    "urllib3",
];

/// Functions of other packages that run or load their arguments.
const LOADER_NAMES: [(&str, &str); 9] = [
    ("numpy", "load"),
    ("numpy", "loadtxt"),
    ("pandas", "eval"),
    ("pandas", "read_pickle"),
    ("pandas.core.computation.eval", "eval"),
    ("pandas.io.pickle", "read_pickle"),
    ("torch", "load"),
    ("torch.serialization", "load"),
    ("torch.storage", "_load_from_bytes"),
];

/// Classes in these modules that checkpoints hold as data.
const DATA_OF_LOADERS: [(&str, &str); 3] =
    [("torch.utils.data", ""), ("torch.utils.hooks", "RemovableHandle"), ("torch.jit", "_recursive")];

/// Whether loading a pickle with this name may run code that the pickle chooses.
pub(super) fn runs(global: &Global) -> bool {
    let (module, name) = (&*global.module, &*global.name);
    let top = module.split('.').next().unwrap_or_default();
    if matches!(module, "builtins" | "__builtin__") {
        return !HARMLESS_BUILTINS.contains(&name) && !is_exception(name);
    }
    let is_in = |package: &str| {
        module.strip_prefix(package).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    // `logging.config` builds what its argument names. A name with a dot may lead out of a module: `os.system` in `pathlib`.
    if HARMLESS.into_iter().any(is_in) && module != "logging.config" {
        return name.contains('.') && is_path_to_module(name);
    }
    if HARMLESS_NAMES.contains(&(module, name)) {
        return false;
    }
    let is_data =
        DATA_OF_LOADERS.iter().any(|(package, own)| is_in(package) && (own.is_empty() || *own == name));
    STANDARD.contains(&top)
        || LOADERS.into_iter().any(is_in) && !is_data
        || LOADER_NAMES.contains(&(module, name))
        || module == "logging.config"
        || name.contains('.') && is_path_to_module(name)
}

/// `ValueError`, `KeyboardInterrupt`: checkpoints hold exceptions of failed trials.
fn is_exception(name: &str) -> bool {
    ["Error", "Exception", "Warning", "Interrupt", "Exit", "Iteration"].iter().any(|end| name.ends_with(end))
}

/// Whether a path of attributes passes through a module of the standard library or through an attribute of the interpreter:
/// `os.system`, `__class__.__subclasses__`.
fn is_path_to_module(name: &str) -> bool {
    name.split('.').any(|part| STANDARD.contains(&part.trim_start_matches('_')) || part.starts_with("__"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(path: &str) -> bool {
        let (module, name) = path.split_once(' ').unwrap();
        runs(&Global { module: module.into(), name: name.into() })
    }

    #[test]
    fn what_runs_a_text_or_a_command_is_listed() {
        for path in [
            "os system",
            "posix system",
            "nt system",
            "builtins eval",
            "__builtin__ exec",
            "builtins getattr",
            "builtins __import__",
            "subprocess Popen",
            "runpy _run_code",
            "importlib import_module",
            "webbrowser open",
            "socket create_connection",
            "operator attrgetter",
            "functools reduce",
            "types CodeType",
            "pickle loads",
            "torch.hub load",
            "torch load",
            "numpy.testing._private.utils runstring",
            "dill._dill _create_code",
            "cloudpickle.cloudpickle _make_function",
            "pathlib os.system",
            "random _os.system",
            "logging.config dictConfig",
            "acme.model __class__.__base__.__subclasses__",
            "asyncio.unix_events _UnixSubprocessTransport._start",
            "multiprocessing.util spawnv_passfds",
            "idlelib.pyshell ModifiedInterpreter.runcommand",
        ] {
            assert!(listed(path), "{path}");
        }
    }

    #[test]
    fn what_checkpoints_usually_hold_is_not_listed() {
        for path in [
            "torch._utils _rebuild_tensor_v2",
            "torch FloatStorage",
            "torch.nn.modules.linear Linear",
            "torch.optim.adamw AdamW",
            "collections OrderedDict",
            "argparse Namespace",
            "omegaconf.dictconfig DictConfig",
            "pytorch_lightning.callbacks.model_checkpoint ModelCheckpoint",
            "transformers.training_args TrainingArguments",
            "numpy.core.multiarray scalar",
            "numpy dtype",
            "_codecs encode",
            "pathlib PosixPath",
            "datetime datetime",
            "functools partial",
            "builtins set",
            "builtins ValueError",
            "types SimpleNamespace",
            "__main__ Net",
            "models.yolo Detect",
            "__torch__.models.net Net",
            "acme.config Config.Inner",
            "torch.utils.data.dataloader DataLoader",
            "typing Any",
        ] {
            assert!(!listed(path), "{path}");
        }
    }
}
