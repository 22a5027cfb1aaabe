"""What readers.py does with one module: find the LayerNorms, perturb the maps, check whether the outputs change."""
import contextlib, re, sys, time, types

import torch
from torch import nn

torch.set_num_threads(1)
F32, F64 = torch.float32, torch.float64
SAME, SEEN, DEAD = 1e-4, 1e-9, 1e-5  # as in the head of readers.py


def old_torch():
    """Adds what newer model code needs and PyTorch 1.x lacks."""
    if hasattr(torch, "compile"):
        return
    torch.compile = lambda *a, **k: a[0] if a and callable(a[0]) else (lambda f: f)
    torch.distributed.fsdp = sys.modules["torch.distributed.fsdp"] = types.ModuleType("torch.distributed.fsdp")
    torch.distributed.fsdp.FullyShardedDataParallel = type("FullyShardedDataParallel", (), {})
    layer_norm = nn.LayerNorm.__init__

    torch._dynamo = types.SimpleNamespace(is_compiling=lambda: False, mark_static_address=lambda *a, **k: None, config=types.SimpleNamespace())

    def layer_norm_with_bias(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, device=None, dtype=None):
        layer_norm(self, normalized_shape, eps, elementwise_affine, device, dtype)
        if not bias:
            self.bias = None

    def attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, **_):
        scores = q @ k.transpose(-2, -1) * (q.shape[-1] ** -0.5 if scale is None else scale)
        if is_causal:
            attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        if attn_mask is not None:
            scores = scores.masked_fill(~attn_mask, float("-inf")) if attn_mask.dtype == torch.bool else scores + attn_mask
        return scores.softmax(-1) @ v

    nn.LayerNorm.__init__ = layer_norm_with_bias
    nn.functional.scaled_dot_product_attention = attention


class Float64:
    """Runs everything in float64, also code that asks for float32 inside a norm or a softmax."""

    def __enter__(self):
        self.old = torch.Tensor.float, torch.float32, torch.float
        torch.Tensor.float = torch.Tensor.double
        torch.float32 = torch.float = F64
        torch.set_default_dtype(F64)

    def __exit__(self, *_):
        torch.Tensor.float, torch.float32, torch.float = self.old
        torch.set_default_dtype(F32)


def tensors(out):
    """Every floating-point tensor of an output. Keys and values cached for the next call do not count."""
    if isinstance(out, torch.Tensor):
        return [out.detach()] if out.is_floating_point() else []
    if hasattr(out, "items"):
        out = [t for k, t in out.items() if k not in ("past_key_values", "state", "mems", "cache_params")]
    return [t for part in out for t in tensors(part)] if isinstance(out, (list, tuple)) else []


def randomise(model, seed):
    """Scales become 1 + 0.3 N, shifts 0.3 N. Nothing is constant, or too small to have a visible effect."""
    g = torch.Generator().manual_seed(seed)
    normal = lambda p: torch.randn(p.shape, generator=g, dtype=F64)
    with torch.no_grad():
        for name, p in model.named_parameters():
            last = name.rsplit(".", 1)[-1].lower()
            if p.numel() <= 1:
                continue
            constant = bool((p == p.reshape(-1)[0]).all())
            if constant and float(p.reshape(-1)[0]) != 0:  # scales, layer scale, mixing weights
                p.copy_(1 + 0.3 * normal(p))
            elif constant or (p.dim() == 1 and ("bias" in last or last == "beta")):
                p.copy_(0.3 * normal(p))
            elif p.dim() > 1:
                fan = max(p.numel() // p.shape[0], 1)
                p.mul_(max(1.0, min(0.3, 0.8 / fan**0.5) / (float(p.std()) + 1e-30)))
        for name, b in model.named_buffers():
            if name.endswith("running_mean"):
                b.copy_(0.3 * normal(b))
            if name.endswith("running_var"):
                b.copy_((0.3 * normal(b)).exp())


@contextlib.contextmanager
def recorded(modules):
    """Records the inputs and outputs of modules while the block runs: {name: [(args, kwargs, output)]}."""
    seen = {name: [] for name in modules}
    for name, module in modules.items():
        def wrapped(*args, _run=module.forward, _seen=seen[name], **kwargs):
            out = _run(*args, **kwargs)
            _seen.append((args, kwargs, out))
            return out
        module.forward = wrapped
    try:
        yield seen
    finally:
        for module in modules.values():
            module.__dict__.pop("forward", None)


def run_model(model, run):
    # PyTorch uses its fused encoder layer unless gradients are on.
    fused = any(isinstance(m, (nn.MultiheadAttention, nn.TransformerEncoderLayer)) for m in model.modules())
    torch.manual_seed(0)
    with torch.enable_grad() if fused else torch.no_grad():
        return tensors(run(model))


class Site:
    """A LayerNorm: the name of its scale, its shift, and v."""

    def __init__(self, module_path, key, scale, shift, plus_one):
        self.path, self.name, self.scale, self.shift, self.plus_one = module_path, f"{module_path}.{key}".lstrip("."), scale, shift, plus_one

    @property
    def v(self):
        v = 1 / (self.scale.detach().reshape(-1).double() + self.plus_one)
        return v / v.norm()

    @property
    def beta(self):
        return self.shift.detach().reshape(-1).double() if self.shift is not None else torch.zeros_like(self.v)


def channels_last(x, width, channels_first=False):
    if not isinstance(x, torch.Tensor) or not x.is_floating_point() or not x.dim():
        return None
    if not channels_first and x.shape[-1] == width:
        return x.detach()
    return x.detach().movedim(1, -1) if x.dim() > 2 and x.shape[1] == width else None


def find_sites(model, run):
    """Finds norm modules whose outputs are dead along γ⁻¹. Norms without a stored scale have no tensor to name and are left out."""
    candidates = {}
    for path, module in model.named_modules():
        own = {k: p for k, p in module._parameters.items() if p is not None}
        if own and len(own) <= 2 and all(p.numel() > 1 and p.numel() == max(p.shape) for p in own.values()):
            candidates[path] = module
    with recorded(candidates) as seen:
        run_model(model, run)
    sites = []
    for path, module in candidates.items():
        own = [(k, p) for k, p in module._parameters.items() if p is not None]
        found = None
        for key, scale in [kp for kp in own if kp[0] not in ("bias", "beta", "b", "shift")] or own:
            for plus_one in (0, 1):
                site = Site(path, key, scale, next((p for k, p in own if k != key), None), plus_one)
                v, beta = site.v, site.beta
                ys = [channels_last(o, len(v)) for _, _, o in seen[path]]
                ys = [y.reshape(-1, len(v)) for y in ys if y is not None]
                if not ys or found:
                    continue
                y = torch.cat(ys).double() - beta
                if float((y @ v).abs().max()) < 1e-9 * float(y.pow(2).mean().sqrt() + 1e-300) * len(v):
                    found = site
        if found:
            sites.append(found)
    return sites


def named_parameters(model):
    """Parameters under all their names. Tied parameters have several."""
    return {f"{prefix}.{key}" if prefix else key: p for prefix, module in model.named_modules(remove_duplicate=False)
            for key, p in module._parameters.items() if p is not None}


class Map:
    """A weight that may read a norm, as a matrix."""

    def __init__(self, name, weight, owner):
        self.name, self.weight, self.owner = name, weight, owner
        self.conv = isinstance(owner, nn.modules.conv._ConvNd)
        self.linear = isinstance(owner, nn.Linear) or type(owner).__name__ == "Conv1D" or self.conv
        self.attention = isinstance(owner, nn.MultiheadAttention) and name.endswith("in_proj_weight")

    def transposed(self, width):
        """Whether the weight is stored (in, out). None if it does not take this width."""
        shape = self.weight.shape
        if type(self.owner).__name__ == "Conv1D":
            return True if shape[0] == width else None
        if shape[1] == width:
            return False
        return True if shape[0] == width and not self.linear and not self.attention else None

    def given(self, calls, width):
        """The inputs of the map, or None if they were not recorded."""
        values = []
        for args, kwargs, _ in calls or ():
            if self.attention:
                parts = [args[i] if i < len(args) else kwargs.get(part) for i, part in enumerate(("query", "key", "value"))]
            else:
                parts = [args[0] if args else next(iter(kwargs.values()), None)]
            values += [channels_last(x, width, self.conv) for x in parts]
        return values if values and all(x is not None for x in values) else None

    def bias(self, params):
        for end in ("weight", "in_proj_weight"):
            if self.name.endswith("." + end) or self.name == end:
                return params.get(self.name[: -len("weight")] + "bias")
        return None


def find_maps(model, params, sites, outside):
    embeddings = {id(m.weight) for m in model.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag))}
    scales = {id(s.scale) for s in sites}
    modules, done, maps = dict(model.named_modules()), set(), []
    for name, p in params.items():
        owner = modules.get(name.rpartition(".")[0])
        flat = p.dim() == 2 or (p.dim() > 2 and isinstance(owner, nn.modules.conv._ConvNd) and set(p.shape[2:]) == {1} and owner.groups == 1)
        if not flat or p.shape[1] < 2 or id(p) in embeddings | scales | done or (outside and name.startswith(outside)):
            continue
        done.add(id(p))
        known = isinstance(owner, (nn.Linear, nn.modules.conv._ConvNd, nn.MultiheadAttention)) or type(owner).__name__ == "Conv1D"
        if known or not re.search("pos|embed|token|table|bias", name):  # tables of positions are not maps
            maps.append(Map(name, p, owner))
    return maps


def key_rows(rows):
    """Row masks of the queries and of the keys of a fused map, for each common layout."""
    for heads in range(1, 17) if rows % 3 == 0 else ():
        if rows % (3 * heads) == 0:
            masks = torch.zeros(2, heads, 3, rows // 3 // heads, dtype=F64)
            masks[0, :, 0] = masks[1, :, 1] = 1
            yield masks.reshape(2, -1)


class Measurement:
    def __init__(self, model, run, seed):
        self.model, self.run, self.seed = model, run, seed
        self.params = named_parameters(model)
        self.base = run_model(model, run)
        self.shiftless, self.random = {}, {}

    def change(self, changes, base=None):
        """How much the outputs change if each delta is added to its parameter."""
        old = [p.detach().clone() for p, _ in changes]
        with torch.no_grad():
            for p, d in changes:
                p.add_(d.reshape(p.shape))
        try:
            out = run_model(self.model, self.run)
        finally:
            with torch.no_grad():
                for (p, _), o in zip(changes, old):
                    p.copy_(o)
        if base == "outputs":
            return out
        worst = 0.0
        for a, b in zip(out, base or self.base):
            if a.shape != b.shape:
                return float("inf")
            ok = torch.isfinite(b)
            if ok.any():
                size = float((a - b)[ok].norm() / (b[ok].norm() + 1e-300))
                worst = max(worst, size if size == size else float("inf"))
        return worst

    def visible(self, map):
        """How much a random perturbation of 0.3 ‖W‖ changes the outputs."""
        if map.name not in self.random:
            w = map.weight.detach()
            r = torch.randn(w.shape, generator=torch.Generator().manual_seed(self.seed + 2), dtype=F64)
            self.random[map.name] = self.change([(map.weight, r * (0.3 * w.norm() / r.norm()))])
        return self.random[map.name]

    def along(self, map, v, mask=None):
        """a and a·vᵀ of size 0.3 ‖W‖. The mask selects output rows."""
        w = map.weight.detach()
        a = torch.randn(w.numel() // len(v), generator=torch.Generator().manual_seed(self.seed + 1), dtype=F64)
        a = a if mask is None else a * mask
        a = a * (0.3 * w.norm() / a.norm())
        return a, (v[:, None] * a if map.transposed(len(v)) else a[:, None] * v)

    def reader(self, site, map):
        """The class of the relation, or None."""
        v, beta = site.v, site.beta
        a, d = self.along(map, v)
        delta, base = [], self.base
        limit = SAME * self.visible(map)
        if site.shift is not None:
            delta = [(site.shift, -v * (v @ beta))]
            if site.name not in self.shiftless:
                self.shiftless[site.name] = self.change(delta, "outputs")
            base = self.shiftless[site.name]
        if self.change([*delta, (map.weight, d)], base) > limit:
            return None
        if site.shift is None or self.change([(map.weight, d)]) <= limit:
            return "free"
        bias = map.bias(self.params)
        if bias is not None and bias.numel() == a.numel() and self.change([(map.weight, d), (bias, -a * (v @ beta))]) > limit:
            return None
        for queries, keys in key_rows(a.numel()) if a.numel() > len(v) else ():
            # the query rows must have an effect: in an attention with a single key, neither rows have one
            if self.change([(map.weight, self.along(map, v, keys)[1])]) <= limit < self.change([(map.weight, self.along(map, v, queries)[1])]):
                return "keys"
        return "bias"


def measure(model, run, seed, outside=None, seconds=60):
    """Returns sites, judged maps, and relations. `outside` leaves out the maps below this path."""
    with Float64():
        model = model.double().eval()
        randomise(model, seed)
        sites = find_sites(model, run)
        with torch.no_grad():
            for s in sites:
                if s.shift is not None and abs(float(s.v @ s.beta)) < 0.3:
                    s.shift.add_((s.v * 0.5).reshape(s.shift.shape))
        m = Measurement(model, run, seed)
        maps = find_maps(model, m.params, sites, outside) if sites else []
        maps = [x for x in maps if any(x.transposed(len(s.v)) is not None for s in sites)]
        with recorded({x.name: x.owner for x in maps if x.linear or x.attention}) as seen:
            run_model(model, run)
        judged, relations, varying, unseen = {}, [], [], []
        deadline = time.time() + seconds
        for x in maps:
            if time.time() > deadline:
                unseen.append(x.name)
                continue
            if not SEEN < m.visible(x) < float("inf"):  # infinite: the outputs have another shape
                unseen.append(x.name)
                continue
            for s in sites:
                v = s.v
                if x.transposed(len(v)) is None:
                    continue
                judged.setdefault(len(v), set()).add(x.name)
                given = x.given(seen.get(x.name), len(v))
                dead = within = True
                if given is not None:
                    line = torch.cat([g.reshape(-1, len(v)) for g in given]).double()
                    size = float((line - line.mean(0)).pow(2).mean().sqrt())
                    size = size if size > 1e-200 else float(line.pow(2).mean().sqrt()) + 1e-300
                    dots = [g.double() @ v for g in given]
                    all_dots = torch.cat([t.reshape(-1) for t in dots])
                    dead = float((all_dots - all_dots.mean()).pow(2).mean().sqrt()) <= DEAD * size
                    within = all(t.dim() == 0 or float((t - t.mean(-1, keepdim=True)).abs().max()) <= DEAD * size for t in dots if t.shape[-1:] != (1,)) and line.shape[0] > len(given)
                if not dead and not within:
                    continue
                kind = m.reader(s, x)
                if kind and dead:
                    relations.append([s.name, x.name, kind])
                elif kind:
                    varying.append([s.name, x.name, kind])
        return dict(parameters=sorted(m.params), sites=[[s.name, len(s.v)] for s in sites], judged={k: sorted(names) for k, names in judged.items()},
                    relations=relations, varying=varying, unseen=unseen, partial=time.time() > deadline)
