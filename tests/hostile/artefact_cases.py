"""Every malicious artefact, the command line that meets it, and what the refusal says."""

from tests.hostile.artefacts import (
    BEYOND,
    LAUGHS,
    NO_SAFETENSORS,
    OVERLAP,
    PICKLE,
    TOUCH,
    Artefact,
    adapter,
    archive,
    codec,
    config,
    expected,
    index,
    linked_run,
    model,
    npz_model,
    npz_of_a_terabyte,
    npz_that_climbs,
    object_array,
    own_choice,
    pickle_named_npz,
    run,
    safetensors,
    script,
    typed,
    voc,
)

# Each is called with whatever stands beside it, by systems that trust a configuration.
TARGETS = (
    "os.system", "subprocess.Popen", "builtins.eval", "builtins.exec", "torch.load", "torch.hub.load", "pickle.load",
    "hydra.utils.instantiate", "webbrowser.open", "importlib.import_module", "shutil.rmtree", "runpy.run_path",
    "finetune.cli.run", "finetune.cli.os.system", "finetune.engine.optimizer.AdamW.build",
    "datasets_adapters.paths.find_file",
)  # fmt: skip

ARTEFACTS = [
    Artefact(name="pytorch_model.bin", make=model(pytorch_model__bin=PICKLE), answer="only pytorch_model.bin"),
    Artefact(name="model.pt", make=model(model__pt=PICKLE), answer="unpickling runs code"),
    Artefact(name="last.ckpt", make=model(last__ckpt=PICKLE), answer="only last.ckpt"),
    Artefact(name="a pickle named .safetensors", make=model(model__safetensors=PICKLE), answer=NO_SAFETENSORS),
    Artefact(name="an index that names a pickle", make=model(**index("evil.bin")), answer="names 'evil.bin'"),
    Artefact(name="an index that climbs out", make=model(**index("../x.safetensors")), answer="of its own folder"),
    Artefact(name="a distributed checkpoint", make=model(__metadata=PICKLE), answer="only .metadata"),
    Artefact(
        name="a DeepSpeed folder",
        make=model(**{"global_step9/mp_rank_00_model_states__pt": PICKLE}),
        answer="only global_step9",
    ),
    Artefact(
        name="a repository with code",
        make=config(auto_map={"AutoModel": "modeling_evil.Evil"}),
        answer="asks for code by auto_map",
    ),
    Artefact(
        name="a decoder with code",
        make=config(text_config__auto_map={"AutoModel": "modeling_evil.Evil"}),
        answer="asks for code by auto_map",
    ),
    Artefact(
        name="a kernel on the hub",
        make=config(attn_implementation="evil/kernel"),
        answer="asks for code by attn_implementation",
    ),
    Artefact(
        name="a config that is no object", make=config(text_config=[1]), answer="text_config must be a JSON object"
    ),
    Artefact(name="a config nested deep", make=model(without=(), config__json=b"[" * 200_000), answer="is not JSON"),
    Artefact(
        name="a tokenizer that is none",
        make=model(without=(), tokenizer__json=b'{"version": "1.0", "x": 1}'),
        answer="is no tokenizer",
    ),
    Artefact(
        name="a tokenizer nested deep", make=model(without=(), tokenizer__json=b"[" * 200_000), answer="is no tokenizer"
    ),
    Artefact(
        name="a processor and a chat template with code",
        make=model(
            without=(),
            processor_config__json=b'{"auto_map": {"AutoProcessor": "modeling_evil.Evil"}}',
            chat_template__jinja=b"{{ cycler.__init__.__globals__.os.system('touch canary') }}",
            modeling_evil__py=b"open('canary', 'w')\n",
        ),
        answer=None,
    ),
    Artefact(
        name="a header of 2^63 bytes", make=model(model__safetensors=safetensors({}, 2**63)), answer=NO_SAFETENSORS
    ),
    Artefact(
        name="a header of 200 MB", make=model(model__safetensors=safetensors({}, 200_000_000)), answer=NO_SAFETENSORS
    ),
    Artefact(name="tensors that overlap", make=model(model__safetensors=OVERLAP), answer=NO_SAFETENSORS),
    Artefact(name="tensors beyond the file", make=model(model__safetensors=BEYOND), answer=NO_SAFETENSORS),
    Artefact(name="an adapter that points elsewhere", make=adapter, answer="it is an adapter"),
    Artefact(name="objects in an .npz model", make=object_array(npz_model), answer="Python objects"),
    Artefact(name="objects in an .npz codec", make=object_array(codec), answer="is not a readable .npz"),
    Artefact(name="objects in an .npz of expectations", make=expected, answer=""),
    Artefact(name="a pickle named .npz", make=pickle_named_npz, answer="is no .npz"),
    Artefact(name="an .npz of a terabyte", make=npz_of_a_terabyte, answer="model.path"),
    Artefact(name="an .npz that climbs out", make=npz_that_climbs, answer="model.path"),
    *(
        Artefact(
            name=f"_target_ {target}", make=typed(f"optimizer._target_={target}"), answer=f"optimizer._target_={target}"
        )
        for target in TARGETS
    ),
    *(
        Artefact(
            name=f"_target_ {target} in a stored run",
            make=run(f"optimizer._target_={target}"),
            answer=f"optimizer._target_={target}",
        )
        for target in TARGETS[:4]
    ),
    Artefact(
        name="a nested _target_", make=typed("+recipe.labels=[{_target_:os.system,command:x}]"), answer="os.system"
    ),
    Artefact(name="_target_ in YAML", make=own_choice(f"_target_: os.system\ncommand: {TOUCH}\n"), answer="os.system"),
    Artefact(
        name="!!python in YAML", make=own_choice(f"x: !!python/object/apply:os.system ['{TOUCH}']\n"), answer="python"
    ),
    Artefact(
        name="a stored run that lists plug-ins", make=run("plugins=[antigravity]"), answer="if you trust the packages"
    ),
    Artefact(
        name="a stored run that changes Hydra",
        make=run("hydra.sweeper._target_=os.system"),
        answer="a stored run may not change Hydra",
    ),
    Artefact(
        name="a stored run with links out of its folder", make=linked_run, answer="is a link out of the run's folder"
    ),
    Artefact(name="an experimental rerun", make=typed("--experimental-rerun", "evil.pickle"), answer="reads a pickle"),
    Artefact(name="entities that grow", make=voc(f"<!DOCTYPE x [{LAUGHS}<!ENTITY x '&l11;'>]>"), answer=None),
    Artefact(
        name="an entity that reads a file",
        make=voc("<!DOCTYPE x [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>"),
        answer=None,
    ),
    Artefact(name="a tar that climbs out", make=archive("tar"), answer="dataset.path"),
    Artefact(name="a zip that climbs out", make=archive("zip"), answer="dataset.path"),
    Artefact(name="a data set with a script", make=script, answer="dataset.path"),
]
