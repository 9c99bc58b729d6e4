rule report:
    """Write one self-contained page: maps, scores, curves, and what was dropped on the way."""
    input:
        samples=lambda wildcards: sample_folders(wildcards.experiment),
        legend=experiment_legend,
        folds=lambda wildcards: [
            table.replace("folds.parquet", "folds.json")
            for table in fold_tables(wildcards.experiment)
        ],
        composites=lambda wildcards: composites_of(
            wildcards.experiment, training_places(wildcards.experiment)
        ),
        scenes=lambda wildcards: catalogues_of(
            wildcards.experiment, training_places(wildcards.experiment)
        ),
        labels=lambda wildcards: labels_of(wildcards, "summary.json"),
        crops=lambda wildcards: labels_of(
            wildcards, f"legends/{legend_key(sample_set(wildcards.experiment)[1]['legend'])}.json"
        ),
        parcels=lambda wildcards: [
            f"<results>/regions/{region}/{season}/parcels.json"
            for region, season in training_places(wildcards.experiment)
        ],
        models=map_models,
        compared=compared_models,
        evaluations=lambda wildcards: [
            f"<results>/evaluation/{name}/metrics.json" for name in compared(wildcards.experiment)
        ],
        confusion="<results>/evaluation/{experiment}/confusion.parquet",
        maps=lambda wildcards: [
            f"<results>/maps/{wildcards.experiment}/{region}/{season}"
            for region, season in mapped_places(wildcards.experiment)
        ],
        tuning=lambda wildcards: tuning_tables(wildcards.experiment),
        truth=simulations_of,
    output:
        report(
            "<results>/report/{experiment}/index.html",
            caption="../workflow/report/page.rst",
            category="Reports",
            labels={"experiment": "{experiment}"},
        ),
    log:
        "<logs>/report/{experiment}.log",
    benchmark:
        "<benchmarks>/report/{experiment}.tsv"
    localrule: True
    conda:
        "../envs/report.yaml"
    params:
        places=lambda wildcards: place_options(wildcards.experiment),
        samples=lambda wildcards, input: options("--samples", input.samples),
        folds=lambda wildcards, input: options("--folds", input.folds),
        composites=lambda wildcards, input: options("--composites", input.composites),
        scenes=lambda wildcards, input: options("--scenes", input.scenes),
        labels=lambda wildcards, input: options("--labels", input.labels),
        crops=lambda wildcards, input: options("--crops", input.crops),
        parcels=lambda wildcards, input: options("--parcels", input.parcels),
        models=lambda wildcards, input: options("--model", input.models),
        compared=lambda wildcards, input: options(
            "--compared-model", [f"{Path(folder).parts[-3]}={folder}" for folder in input.compared]
        ),
        evaluations=lambda wildcards, input: options("--evaluation", input.evaluations),
        maps=lambda wildcards, input: options("--map", input.maps),
        tuning=lambda wildcards, input: options("--tuning", input.tuning),
        truth=lambda wildcards, input: options("--truth", input.truth),
        settings=report_settings,
        code=room_code("report", "samples", "regions", "labels"),
    shell:
        r"""
        python -m cropflow report \
            --experiment {wildcards.experiment:q} --settings {params.settings:q} {params.places} \
            {params.samples} {params.folds} {params.composites} {params.scenes} {params.labels} \
            {params.crops} {params.parcels} {params.models} {params.compared} {params.evaluations} \
            --confusion {input.confusion:q} {params.maps} {params.tuning} {params.truth} \
            --output {output:q} 2>{log:q}
        """
