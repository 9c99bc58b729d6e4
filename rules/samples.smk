rule samples_folds:
    """Assign the blocks of a region to folds, the same for every season."""
    input:
        sites="<results>/regions/{region}/sites.parquet",
        parcels=folds_parcels,
        crops=folds_crops,
    output:
        folds="<results>/samples/{set}/{region}/folds.parquet",
        summary="<results>/samples/{set}/{region}/folds.json",
    log:
        "<logs>/samples/{set}/{region}/folds.log",
    benchmark:
        "<benchmarks>/samples/{set}/{region}/folds.tsv"
    conda:
        "../envs/geo.yaml"
    resources:
        mem="2 GiB",
        runtime="1h",
    params:
        settings=set_settings(),
        parcels=lambda wildcards, input: options("--parcels", input.parcels),
        crops=lambda wildcards, input: options("--crops", input.crops),
        code=room_code("samples", "labels", "regions"),
    shell:
        r"""
        python -m cropflow samples folds \
            --sites {input.sites:q} {params.parcels} {params.crops} \
            --settings {params.settings:q} \
            --output {output.folds:q} --summary {output.summary:q} 2>{log:q}
        """


rule samples:
    """Rasterise the parcels of a season, and mark the fold of every pixel and the sensors that see it."""
    input:
        composites=composites_of_set,
        sites="<results>/regions/{region}/sites.parquet",
        parcels="<results>/regions/{region}/{season}/parcels",
        crops=lambda wildcards: set_crops(wildcards, [wildcards.season]),
        folds="<results>/samples/{set}/{region}/folds.parquet",
    output:
        directory("<results>/samples/{set}/{region}/{season}"),
    log:
        "<logs>/samples/{set}/{region}/{season}.log",
    benchmark:
        "<benchmarks>/samples/{set}/{region}/{season}.tsv"
    conda:
        "../envs/geo.yaml"
    resources:
        mem="4 GiB",
        runtime="1h",
    params:
        settings=set_settings(),
        composites=lambda wildcards, input: options("--composites", input.composites),
        code=room_code("samples", "labels", "regions"),
    shell:
        r"""
        python -m cropflow samples build \
            {params.composites} --sites {input.sites:q} \
            --parcels {input.parcels:q} --crops {input.crops:q} --folds {input.folds:q} \
            --settings {params.settings:q} --output {output:q} 2>{log:q}
        """


rule samples_patches:
    """Cut the patches of a season, a class per pixel."""
    input:
        samples="<results>/samples/{set}/{region}/{season}",
        composites=composites_of_set,
        sites="<results>/regions/{region}/sites.parquet",
    output:
        directory("<results>/samples/{set}/{region}/patches/{season}"),
    log:
        "<logs>/samples/{set}/{region}/patches/{season}.log",
    benchmark:
        "<benchmarks>/samples/{set}/{region}/patches/{season}.tsv"
    conda:
        "../envs/geo.yaml"
    resources:
        mem="4 GiB",
        runtime="1h",
    params:
        settings=set_settings("patches"),
        composites=lambda wildcards, input: options("--composites", input.composites),
        code=room_code("samples", "labels", "regions"),
    shell:
        r"""
        python -m cropflow samples patches \
            --samples {input.samples:q} {params.composites} --sites {input.sites:q} \
            --settings {params.settings:q} --output {output:q} 2>{log:q}
        """


rule samples_pixel_sets:
    """Gather the pixels of each parcel of a season, a class per parcel."""
    input:
        samples="<results>/samples/{set}/{region}/{season}",
        composites=composites_of_set,
        sites="<results>/regions/{region}/sites.parquet",
        history=set_history,
        legend=set_history_legend,
    output:
        directory("<results>/samples/{set}/{region}/pixel_sets/{season}"),
    log:
        "<logs>/samples/{set}/{region}/pixel_sets/{season}.log",
    benchmark:
        "<benchmarks>/samples/{set}/{region}/pixel_sets/{season}.tsv"
    conda:
        "../envs/geo.yaml"
    resources:
        mem="4 GiB",
        runtime="1h",
    params:
        settings=set_settings("pixel_sets"),
        composites=lambda wildcards, input: options("--composites", input.composites),
        history=lambda wildcards, input: options("--history", input.history),
        code=room_code("samples", "labels", "regions"),
    shell:
        r"""
        python -m cropflow samples pixel-sets \
            --samples {input.samples:q} {params.composites} --sites {input.sites:q} {params.history} \
            --settings {params.settings:q} --output {output:q} 2>{log:q}
        """


rule samples_chips:
    """Cut a square around each parcel of a season, a class per square."""
    input:
        samples="<results>/samples/{set}/{region}/{season}",
        composites=composites_of_set,
        sites="<results>/regions/{region}/sites.parquet",
    output:
        directory("<results>/samples/{set}/{region}/chips/{season}"),
    log:
        "<logs>/samples/{set}/{region}/chips/{season}.log",
    benchmark:
        "<benchmarks>/samples/{set}/{region}/chips/{season}.tsv"
    conda:
        "../envs/geo.yaml"
    resources:
        mem="4 GiB",
        runtime="1h",
    params:
        settings=set_settings("chips"),
        composites=lambda wildcards, input: options("--composites", input.composites),
        code=room_code("samples", "labels", "regions"),
    shell:
        r"""
        python -m cropflow samples chips \
            --samples {input.samples:q} {params.composites} --sites {input.sites:q} \
            --settings {params.settings:q} --output {output:q} 2>{log:q}
        """
